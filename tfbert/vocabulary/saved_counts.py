"""Word counts on the disk while text is counted: a killed count goes on.

The text is read again from its beginning, which is quick beside cutting it
into words; what is counted already is passed over once it is certain that it
is the same.
"""

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from tfbert.vocabulary.word_counts import WordCounts

_log = logging.getLogger(__name__)

# Seconds between two times at which counts are saved; more where they are
# many, so that this takes no more than a share of the time.
SECONDS = 60.0
_SHARE = 1 / 20
_FORMAT = 1


class SavedCounts:
    """A file of counts, beside the vocabulary that is to come of them.

    Args:
      path: the file.
      made_with: what counts depend on beside the text, in words.
      counts: that are saved; those of an earlier start are added.
      clock: gives seconds; monotonic.

    Attributes:
      texts: counted by an earlier start.

    Raises:
      UserError: an earlier start counted otherwise, or its file is damaged.
    """

    def __init__(
        self,
        path: Path,
        made_with: Mapping[str, str],
        counts: WordCounts,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._path = path
        self._made_with = dict(made_with)
        self._counts = counts
        self._clock = clock
        self._digest = hashlib.blake2b()
        self._seen = 0
        self._wanted = ""
        self._pause, self._saved_at = SECONDS, clock()
        self.texts = self._read()

    def left(self, texts: Iterator[bytes]) -> Iterator[bytes]:
        """The texts that are not counted yet.

        Raises:
          UserError: those before them are not those of the earlier start.
        """
        for text in texts:
            self._seen += 1
            self._digest.update(b"%d " % len(text))
            self._digest.update(text)
            if self._seen > self.texts:
                yield text
            elif self._seen == self.texts:
                if self._digest.hexdigest() != self._wanted:
                    raise self._refused("was begun with other text")
        if self._seen < self.texts:
            raise self._refused("was begun with more text")

    def counted(self) -> None:
        """Notes that all texts that were handed out are counted."""
        begun = self._clock()
        if begun - self._saved_at < self._pause:
            return
        try:
            self._save()
        except OSError as error:
            _log.warning(
                f"{self._path} cannot be written ({error.strerror}); a start "
                "after a kill would count anew"
            )
        self._saved_at = self._clock()
        self._pause = max(SECONDS, (self._saved_at - begun) / _SHARE)

    def _save(self) -> None:
        new = self._path.with_name(self._path.name + ".new")
        head = {
            "format": _FORMAT,
            "made_with": self._made_with,
            "texts": self._seen,
            "digest": self._digest.hexdigest(),
            "total": self._counts.total,
        }
        with open(new, "wb") as stream:
            stream.write(json.dumps(head).encode() + b"\n")
            self._counts.save(stream)
            stream.write(b"end\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(new, self._path)
        files.sync_folder(self._path.parent)

    def remove(self) -> None:
        """Removes the file: the vocabulary is there."""
        for path in (
            self._path,
            self._path.with_name(self._path.name + ".new"),
        ):
            with contextlib.suppress(OSError):
                path.unlink()

    def _read(self) -> int:
        try:
            stream = open(self._path, "rb")
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._refused(f"cannot be read ({error.strerror})") from error
        with stream:
            try:
                head = json.loads(stream.readline())
                if head["format"] != _FORMAT:
                    raise ValueError("of another version")
                before, texts = head["made_with"], int(head["texts"])
                self._wanted = str(head["digest"])
                for name in sorted(before.keys() | self._made_with.keys()):
                    old, new = before.get(name), self._made_with.get(name)
                    if old != new:
                        raise self._refused(
                            f"was begun with another {name}: {old}, not {new}"
                        )
                self._counts.load(stream, int(head["total"]))
            except UserError:
                raise
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise self._refused(f"is damaged ({error})") from error
            except RecursionError as error:
                raise self._refused("is damaged") from error
        return texts

    def _refused(self, why: str) -> UserError:
        return UserError(
            f"{self._path}, which holds what an earlier start has counted, "
            f"{why}. Give what it was begun with, and it goes on; or remove "
            "the file to begin anew."
        )
