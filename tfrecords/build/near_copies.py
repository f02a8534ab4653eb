"""Documents that are nearly copies of others, found by MinHash.

Two documents are as alike as the share of shingles (runs of five words) that
they have in common of all that they have: their Jaccard index. It is
estimated from signatures of 128 minima (Broder 1997, "On the resemblance and
containment of documents"), made of one hash function by cutting its values
into 128 bins (Li, Owen and Zhang 2012, "One permutation hashing"), with empty
bins filled from others (Shrivastava 2017, "Optimal densification for fast and
accurate minwise hashing"). Of a minimum 16 bits are kept (Li and Koenig 2010,
"b-bit minwise hashing"). Documents are compared where a band of their
signatures is equal (Leskovec, Rajaraman and Ullman 2014, "Mining of massive
datasets", section 3.4).

Documents without a word are alike. Of those that are alike, directly or
through others, the longest stays. Which ones go depends on the documents
alone, not on their order. It takes 272 bytes of memory for each document, three
times as many while they are compared, and a second reading of the text.
"""

import unicodedata
from collections.abc import Iterable, Iterator

import numpy as np

from tfrecords import keyed_order

BINS = 128
WORDS = 5

# Two documents that are just alike enough are missed this often at most.
_MISSED = 0.01

# So many documents at most are compared with all of a group. Boilerplate makes
# groups of a large part of a corpus that are less alike than asked for, where
# each would be compared with each.
_LEADERS = 32

# Text whose signatures are worked out together.
_BLOCK_BYTES = 1 << 20

# A byte's part in the hash of a word: odd, so that it has an inverse.
_BASE = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_INVERSE = pow(_BASE, -1, 1 << 64)

_EMPTY = np.uint64(_MASK)

# One document in a table of signatures. `digest` stands for its text.
ENTRY = np.dtype(
    [("digest", "<u8"), ("size", "<u8"), ("signature", "<u2", (BINS,))]
)


def table(texts: Iterable[tuple[int, bytes]]) -> np.ndarray:
    """The entries of documents, in their order.

    Args:
      texts: (digest, UTF-8 text) of each.

    Returns:
      `ENTRY` [N].
    """
    parts = [np.zeros(0, ENTRY)]
    for block in _blocks(texts):
        digests, data = zip(*block, strict=True)
        part = np.zeros(len(block), ENTRY)
        part["digest"] = digests
        part["size"] = [len(text) for text in data]
        part["signature"] = signatures(list(data))
        parts.append(part)
    return np.concatenate(parts)


def _blocks(texts) -> Iterator[list[tuple[int, bytes]]]:
    block, size = [], 0
    for entry in texts:
        block.append(entry)
        size += len(entry[1])
        if size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def signatures(texts: list[bytes]) -> np.ndarray:
    """The signatures of documents.

    Case makes no difference, nor does whether an accented letter is written as
    one character or as two; nor punctuation in ASCII. Curly quotes and no-break
    spaces do make one. A Chinese character is a word.

    Args:
      texts: UTF-8, D of them.

    Returns:
      uint16 [D, BINS].
    """
    words, documents = _words([_normalized(text) for text in texts])
    shingles, documents = _shingles(words, documents)
    minima = np.full(len(texts) * BINS, _EMPTY, np.uint64)
    bins = (shingles >> np.uint64(57)).astype(np.int64)
    np.minimum.at(minima, documents * BINS + bins, shingles)
    minima = _densified(minima.reshape(len(texts), BINS))
    return (keyed_order.mix(minima) & np.uint64(0xFFFF)).astype(np.uint16)


def _normalized(text: bytes) -> bytes:
    """The text in lower case and NFC; what is ASCII is lower-cased later."""
    if text.isascii():
        return text
    lower = text.decode("utf-8", "replace").lower()
    return unicodedata.normalize("NFC", lower).encode("utf-8")


def _words(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(hash of each word uint64 [W], its document int64 [W])."""
    data = np.frombuffer(b"\n".join(texts) + b"\n", np.uint8)
    ends = np.cumsum([len(text) + 1 for text in texts])
    kinds = _LETTERS[data]  # 0: between words
    letter = kinds > 0
    starts = letter.copy()
    starts[1:] &= ~letter[:-1]
    # A character of three bytes of those scripts is a word by itself.
    wide = np.flatnonzero(kinds == 2)
    starts[wide] = True
    after = wide + 3
    after = after[after < len(data)]
    starts[after] |= letter[after]
    first = np.flatnonzero(starts)
    # A word ends where the next begins, or where its letters end.
    gaps = np.flatnonzero(letter[:-1] & ~letter[1:]) + 1
    last = np.minimum(
        np.append(first[1:], len(data)),
        gaps[np.searchsorted(gaps, first, side="right")]
        if len(first)
        else first,
    )
    # sum of byte * base^place from the first to the last of its bytes.
    powers = _powers(_BASE, len(data))
    value = _LOWER[data].astype(np.uint64) * powers
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(value)])
    hashes = (sums[last] - sums[first]) * _powers(_INVERSE, len(data))[first]
    return keyed_order.mix(hashes), np.searchsorted(ends, first, side="right")


def _powers(base: int, count: int) -> np.ndarray:
    """base^0, base^1, ... modulo 2^64, uint64 [count]."""
    powers = np.ones(1, np.uint64)
    step = base
    while len(powers) < count:
        powers = np.concatenate([powers, powers * np.uint64(step)])
        step = step * step & _MASK
    return powers[:count]


def _shingles(words, documents) -> tuple[np.ndarray, np.ndarray]:
    """(hash of each shingle uint64 [N], its document int64 [N])."""
    count = len(words)
    shingles = np.zeros(count, np.uint64)
    whole = np.ones(count, bool)
    for place in range(WORDS):
        left = max(0, count - place)
        same = np.zeros(count, bool)
        same[:left] = documents[count - left :] == documents[:left]
        later = np.zeros(count, np.uint64)
        later[:left] = words[count - left :]
        shingles = keyed_order.fold(
            shingles, np.where(same, later, np.uint64(0))
        )
        whole &= same
    # A document of fewer words is a single shingle.
    first = np.ones(count, bool)
    first[1:] = documents[1:] != documents[:-1]
    taken = whole | first
    return shingles[taken], documents[taken]


def _densified(minima: np.ndarray) -> np.ndarray:
    """Fills empty bins from others of the same document, uint64 [D, BINS]."""
    empty = minima == _EMPTY
    filled = minima.copy()
    sources = ~empty
    todo = empty & sources.any(axis=1, keepdims=True)
    attempt = 0
    while todo.any():
        rows, columns = np.nonzero(todo)
        drawn = keyed_order.fold(columns.astype(np.uint64), attempt)
        place = (drawn >> np.uint64(57)).astype(np.int64)
        found = sources[rows, place]
        rows, columns, place = rows[found], columns[found], place[found]
        filled[rows, columns] = minima[rows, place]
        todo[rows, columns] = False
        attempt += 1
    return filled


def _band_rows(threshold: float) -> int:
    """The widest band that finds documents as alike as `threshold`."""
    best = 1
    for rows in range(1, BINS + 1):
        missed = (1 - threshold**rows) ** (BINS // rows)
        if missed <= _MISSED:
            best = rows
    return best


def superfluous(entries: np.ndarray, threshold: float) -> set[int]:
    """The digests of documents that are too like others that stay.

    Args:
      entries: `ENTRY` [N], in any order; of equal digests one is looked at.
      threshold: how alike two documents are at least, above 0, at most 1.
    """
    _, chosen = np.unique(entries["digest"], return_index=True)
    entries = entries[chosen]
    # Those that would stay come first; a group is led by its first.
    entries = entries[
        np.argsort(-entries["size"].astype(np.int64), kind="stable")
    ]
    signature = entries["signature"]
    leader = np.arange(len(entries))
    rows = _band_rows(threshold)
    for band in range(BINS // rows):
        part = signature[:, band * rows : (band + 1) * rows]
        for group in _equal(part):
            _join_alike(leader, signature, group, threshold)
    for place in range(len(leader)):
        leader[place] = leader[leader[place]]
    gone = leader != np.arange(len(entries))
    return set(entries["digest"][gone].tolist())


def _equal(part: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the numbers, ascending, of each two or more equal rows."""
    keys = np.zeros(len(part), np.uint64)
    for column in part.T:
        keys = keyed_order.fold(keys, column)
    by_key = np.argsort(keys, kind="stable")
    sorted_keys = keys[by_key]
    cuts = np.flatnonzero(sorted_keys[1:] != sorted_keys[:-1]) + 1
    starts = np.concatenate([[0], cuts])
    ends = np.concatenate([cuts, [len(part)]])
    for start, end in zip(
        starts[ends - starts > 1].tolist(),
        ends[ends - starts > 1].tolist(),
        strict=True,
    ):
        yield by_key[start:end]


def _join_alike(leader, signature, group, threshold) -> None:
    """Joins those of a group that are alike, in place.

    The first is compared with all others, then the next of those that were
    not alike, up to `_LEADERS` of them; those that are joined already are not
    compared.
    """
    for _ in range(_LEADERS):
        roots = _roots(leader, group)
        apart = roots[1:] != roots[:1]
        if not apart.any():
            return
        first, others = group[0], group[1:]
        alike = np.zeros(len(others), bool)
        same = signature[others[apart]] == signature[first]
        alike[apart] = same.mean(axis=1) >= threshold
        for other in others[alike].tolist():
            one, two = _root(leader, first), _root(leader, other)
            leader[max(one, two)] = min(one, two)
        group = others[~alike]


def _roots(leader: np.ndarray, places: np.ndarray) -> np.ndarray:
    """`_root` of each of some places."""
    roots = leader[places]
    while True:
        further = leader[roots]
        if (further == roots).all():
            leader[places] = roots
            return roots
        roots = further


def _root(leader: np.ndarray, place: int) -> int:
    while leader[place] != place:
        leader[place] = leader[leader[place]]
        place = leader[place]
    return int(place)


def _byte_tables() -> tuple[np.ndarray, np.ndarray]:
    """(kind of each byte, its lower case), uint8 [256] both.

    Kinds: 0 separates words, 1 is part of one, 2 begins a character of three
    bytes of the Chinese and Japanese scripts (U+3000 to U+9FFF).
    """
    kinds = np.zeros(256, np.uint8)
    lower = np.arange(256, dtype=np.uint8)
    for byte in range(128):
        kinds[byte] = chr(byte).isalnum()
        lower[byte] = ord(chr(byte).lower())
    kinds[128:] = 1
    kinds[0xE3:0xEA] = 2
    return kinds, lower


_LETTERS, _LOWER = _byte_tables()
