"""A character table in the form that TF.Text's normalization kernel reads.

`FastBertNormalize` replaces each code point by what a double-array trie says,
in one pass over the bytes. TF.Text builds the trie for its own normalization
only (NFKD, which is not BERT's), so we write the trie for ours.

Source: `fast_bert_normalizer_model.fbs` and `darts_clone_trie_wrapper.h` of
TF.Text 2.20; the unit layout is that of Darts-clone.
"""

import functools

import flatbuffers
import numpy as np

from tfbert.text.normalization.characters import character_map
from tfbert.text.normalization.stand_ins import kernel_map, special_map

# A value of the trie: this bit, the place in the pool, the number of bytes.
_CHANGED = 1 << 30
_LENGTH_BITS = 6
# Units: a leaf has the top bit set; a node its label, whether it has a leaf
# (bit 8), and from bit 10 on the way to its children.
_LEAF = 1 << 31
_HAS_LEAF = 1 << 8
_PAGE = 256
_BLOCK = 64

# A node is (value or None, ((byte, node number), ...)).
_Node = tuple[int | None, tuple[tuple[int, int], ...]]


@functools.cache
def normalizer_model(lowercase: bool, special_tokens: bool = False) -> bytes:
    """The model that turns text into what the WordPiece kernel takes.

    The kernel splits at white space, punctuation and ideographs by itself;
    where it would do so differently from BERT the text is changed so that it
    does not. Bytes that are not UTF-8 are dropped: a decoder replaces them by
    U+FFFD, which BERT's clean-up removes.

    Args:
      lowercase: as for `character_map`.
      special_tokens: keep the stand-ins of `replace_special_tokens`.
    """
    table = dict(character_map(lowercase))
    inner = kernel_map()
    for code, text in table.items():
        table[code] = text.translate(inner)
    for code, text in inner.items():
        table.setdefault(code, text)
    if special_tokens:
        table.update(special_map())
    return build_model(table)


def build_model(table: dict[int, str]) -> bytes:
    """The flatbuffer that `FastBertNormalize` takes for `table`.

    Args:
      table: code point -> string of at most 63 bytes. Others are unchanged.
        NUL and bytes that are not UTF-8 are dropped.
    """
    trie, pool = _build_trie(table)
    builder = flatbuffers.Builder(trie.nbytes + len(pool) + 1024)
    trie_vector = builder.CreateNumpyVector(trie)
    pool_vector = builder.CreateByteVector(pool)
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(1, trie_vector, 0)
    # The empty key does not fit into the trie; NUL, its stand-in, is dropped.
    builder.PrependInt32Slot(2, _CHANGED, 0)
    builder.PrependUOffsetTRelativeSlot(3, pool_vector, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _build_trie(table: dict[int, str]) -> tuple[np.ndarray, bytes]:
    """Returns the units (uint32) and the pool of replacement strings."""
    pool = bytearray()
    values: dict[str, int] = {"": _CHANGED}
    blocks: dict[int, dict[int, int]] = {}
    for code, text in table.items():
        if text not in values:
            data = text.encode("utf-8")
            values[text] = _CHANGED | (len(pool) << _LENGTH_BITS) | len(data)
            pool += data
        blocks.setdefault(code >> 6, {})[code & 63] = values[text]
    nodes: dict[_Node, int] = {}

    def node(value: int | None, children: dict[int, int]) -> int:
        key = (value, tuple(sorted(children.items())))
        return nodes.setdefault(key, len(nodes))

    def last_bytes(block: int) -> int:
        # An incomplete character is looked up by its first bytes: dropped.
        children = {
            0x80 + low: node(value, {})
            for low, value in blocks.get(block, {}).items()
        }
        return node(_CHANGED, children)

    def middle_bytes(first_block: int, step: int) -> int:
        below = last_bytes if step == 1 else _partial(middle_bytes, step // 64)
        return node(
            _CHANGED,
            {0x80 + i: below(first_block + i * step) for i in range(64)},
        )

    root = {}
    for byte in range(0x80):
        value = blocks.get(byte >> 6, {}).get(byte & 63)
        if value is not None:
            root[byte] = node(value, {})
    dropped = node(_CHANGED, {})
    root.update(dict.fromkeys(range(0x80, 0x100), dropped))
    for lead in range(0xC2, 0xE0):
        root[lead] = last_bytes(lead - 0xC0)
    for lead in range(0xE0, 0xF0):
        root[lead] = middle_bytes((lead - 0xE0) << 6, 1)
    for lead in range(0xF0, 0xF5):
        root[lead] = middle_bytes((lead - 0xF0) << 12, 64)
    root.pop(0, None)
    return _lay_out(list(nodes), root), bytes(pool)


def _partial(function, step):
    return lambda first_block: function(first_block, step)


def _lay_out(nodes: list[_Node], root: dict[int, int]) -> np.ndarray:
    """Places the nodes in a double array.

    A node's children lie at `base ^ byte` and its leaf at `base`. All bytes
    below the root's are 0x80 to 0xBF, so children fill one of the two upper
    blocks of a page, and the two lower blocks have room for the leaves.
    """
    inner = [i for i, (_, children) in enumerate(nodes) if children]
    bases = {}
    for order, index in enumerate(inner):
        bases[index] = (order // 2 + 2) * _PAGE + order % 2 * _BLOCK
    pages = (len(inner) + 1) // 2 + 2
    taken = set(bases.values())
    free = (
        page * _PAGE + place
        for page in range(2, 1 << 13)
        for place in range(2 * _BLOCK)
        if page * _PAGE + place not in taken
    )
    for index, (_, children) in enumerate(nodes):
        if not children:
            bases[index] = next(free)
            pages = max(pages, bases[index] // _PAGE + 1)
    units = np.zeros(pages * _PAGE, np.uint32)

    def link(parent: int, base: int, children) -> None:
        for byte, index in children:
            place = base ^ byte
            units[place] = (place ^ bases[index]) << 10 | _HAS_LEAF | byte

    units[0] = _PAGE << 10
    link(0, _PAGE, root.items())
    for index, (value, children) in enumerate(nodes):
        units[bases[index]] = _LEAF | value
        link(index, bases[index], children)
    return units
