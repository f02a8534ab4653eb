"""What a build has made so far, so that the same command goes on after a kill.

Text is read again from its beginning, which is quick beside making rows of
it: what is left out, held out and cut into chunks is found anew. Chunks whose
rows are written are passed over once it is certain that they are the same.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from tfbert.text.vocabulary_files import vocabulary_hash
from tfrecords.build.chunks import Chunk
from tfrecords.build.settings import BEAM, BuildSettings
from tfrecords.storage.writer import UNFINISHED_FILE
from tfrecords.text.files import can_be_read_again

# Seconds between two times at which what is made becomes certain.
SECONDS = 30.0
_FORMAT = 1
# What the rows do not depend on; of the text they are compared themselves.
_FREE = {"input", "output", "vocab", "processes", "runner", "beam_options"}


def made_with(settings: BuildSettings, tokens: list[str]) -> dict[str, str]:
    """What the rows depend on beside the text, in words."""
    # Imported here: the package's own module needs no record to be read.
    from tfbert import __version__

    values = {
        name: str(getattr(settings, name))
        for name in settings.__dataclass_fields__
        if name not in _FREE
    }
    hashed = vocabulary_hash(tokens)[:16]
    return {**values, "vocabulary": hashed, "version of tfbert": __version__}


def can_go_on(settings: BuildSettings, paths: list[str]) -> bool:
    """Whether the text can be read again; Beam keeps its own books."""
    return settings.runner != BEAM and can_be_read_again(paths)


class Unfinished:
    """The file in the folder of a build that says what of it is certain.

    Args:
      folder: of the build.
      made_with: see there.
      kept: whether there are to be such files.
      clock: gives seconds; monotonic.

    Attributes:
      state: what an earlier start has saved; None: it begins anew.

    Raises:
      UserError: an earlier start was made with something else, or what it
        left is damaged.
    """

    def __init__(
        self,
        folder: Path,
        made_with: Mapping[str, str],
        kept: bool,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._path = folder / UNFINISHED_FILE
        self._made_with = dict(made_with)
        self._kept, self._clock = kept, clock
        self._saved_at = clock()
        self._digest = hashlib.blake2b()
        # Of the chunks that are handed out, after each.
        self._digests: dict[int, str] = {}
        self._taken = 0
        self.state = self._read() if kept else None
        if self.state is not None:
            self._taken = self.state["chunks"]

    def left(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """The chunks whose rows are not written yet.

        Raises:
          UserError: those before them are not those of the earlier start.
        """
        done, count = self._taken, 0
        for chunk in chunks:
            count += 1
            if not self._kept:
                yield chunk
                continue
            head = [chunk.split, chunk.number, chunk.places]
            self._digest.update(json.dumps(head).encode())
            for text in chunk.texts:
                self._digest.update(b"%d " % len(text))
                self._digest.update(text)
            if count < done:
                continue
            found = self._digest.hexdigest()
            if count > done:
                self._digests[count] = found
                yield chunk
            elif found != self.state["digest"]:
                raise self._refused("was begun with other text")
        if count < done:
            raise self._refused("was begun with more text")

    def took(self, state: Callable[[], dict]) -> None:
        """Notes that the rows of one more chunk are written.

        Args:
          state: says how to go on behind it; called when that is to be saved.

        Raises:
          OSError: it cannot be saved.
        """
        self._taken += 1
        digest = self._digests.pop(self._taken, "")
        if not self._kept or self._clock() - self._saved_at < SECONDS:
            return
        saved = {
            "format": _FORMAT,
            "made_with": self._made_with,
            "chunks": self._taken,
            "digest": digest,
            "build": state(),
        }
        files.write_file(self._path, json.dumps(saved) + "\n")
        self._saved_at = self._clock()

    def _read(self) -> dict | None:
        try:
            saved = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            saved = None
        kinds = {"made_with": dict, "chunks": int, "digest": str, "build": dict}
        if (
            not isinstance(saved, dict)
            or saved.get("format") != _FORMAT
            or not all(isinstance(saved.get(k), t) for k, t in kinds.items())
        ):
            raise self._refused("is damaged, or of another version")
        before = saved["made_with"]
        for name in sorted(before.keys() | self._made_with.keys()):
            old, new = before.get(name), self._made_with.get(name)
            if old != new:
                raise self._refused(
                    f"was begun with another {name}: {old}, not {new}"
                )
        return saved

    def _refused(self, why: str) -> UserError:
        folder = self._path.parent
        return UserError(
            f"{folder}, which holds what an earlier start of this build has "
            f"made, {why}. Give what it was begun with, and it goes on; or "
            f"remove {folder} to build anew."
        )
