"""Tables of names: which tensor of ours is which of a neighbour's.

A table is a list of entries. An entry says our name, the neighbour's name or
names, and the form that turns theirs into ours and back. Names may hold
`{i}`, the number of the block. Our names are those of a task's variables
(`tfbert.weights.variables.named_variables`), "encoder/..." and the heads'.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from tfbert.config import BertConfig
from tfbert.errors import UserError

Arrays = list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Form:
    """How a tensor is laid out elsewhere.

    Attributes:
      text: for the printed map.
      to_ours: (their arrays, config) -> our array.
      to_theirs: (our array, config) -> their arrays.
    """

    text: str
    to_ours: Callable[[Arrays, BertConfig], np.ndarray]
    to_theirs: Callable[[np.ndarray, BertConfig], Arrays]


def _thirds(x: np.ndarray) -> Arrays:
    return np.split(x, 3, axis=-1)


def _split_heads(x: np.ndarray, config: BertConfig) -> np.ndarray:
    """[..., H] -> [..., N, D]."""
    shape = (config.num_attention_heads, config.head_size)
    return x.reshape(*x.shape[:-1], *shape)


def _join_heads(x: np.ndarray) -> np.ndarray:
    """[..., N, D] -> [..., H]."""
    return x.reshape(*x.shape[:-2], -1)


SAME = Form("the same", lambda a, c: a[0], lambda x, c: [x])
TRANSPOSED = Form("transposed", lambda a, c: a[0].T, lambda x, c: [x.T])
# query_key_value: the columns of Q, K and V beside each other.
THIRDS = Form(
    "columns side by side",
    lambda a, c: np.concatenate(a, axis=-1),
    lambda x, c: _thirds(x),
)
TRANSPOSED_THIRDS = Form(
    "transposed, columns side by side",
    lambda a, c: np.concatenate([x.T for x in a], axis=-1),
    lambda x, c: [part.T for part in _thirds(x)],
)
HEAD_THIRDS = Form(
    "heads joined, columns side by side",
    lambda a, c: np.concatenate([_join_heads(x) for x in a], axis=-1),
    lambda x, c: [_split_heads(part, c) for part in _thirds(x)],
)
# The attention's output projection: [N, D, H] there, [H, H] here.
HEAD_ROWS = Form(
    "heads joined",
    lambda a, c: a[0].reshape(-1, a[0].shape[-1]),
    lambda x, c: [x.reshape(c.num_attention_heads, c.head_size, x.shape[-1])],
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor of ours and where a neighbour keeps it.

    Attributes:
      ours: our name.
      theirs: their names, more than one where they are joined.
      form: how theirs becomes ours.
    """

    ours: str
    theirs: tuple[str, ...]
    form: Form = SAME


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the map that was used, for people.

    Attributes:
      ours: our name.
      theirs: their names.
      form: text of the form.
      shape: of our tensor.
    """

    ours: str
    theirs: tuple[str, ...]
    form: str
    shape: tuple[int, ...]


def entry(ours: str, *theirs: str, form: Form = SAME) -> Entry:
    """Spells an Entry."""
    return Entry(ours, theirs, form)


def expand(table: Iterable[Entry], config: BertConfig) -> list[Entry]:
    """Writes an entry with `{i}` once for each block, in the table's order."""
    expanded, of_block = [], []
    for item in table:
        if "{i}" in item.ours:
            of_block.append(item)
            continue
        expanded += _blocks(of_block, config)
        of_block = []
        expanded.append(item)
    return expanded + _blocks(of_block, config)


def _blocks(entries: list[Entry], config: BertConfig) -> list[Entry]:
    return [
        Entry(
            item.ours.format(i=i),
            tuple(name.format(i=i) for name in item.theirs),
            item.form,
        )
        for i in range(config.num_hidden_layers if entries else 0)
        for item in entries
    ]


# The parts of a model that a neighbour's file may lack.
PARTS = {
    "pooler": "encoder/pooler/",
    "masked_lm": "masked_lm/",
    "next_sentence": "next_sentence/",
    "head": "classifier/",
}


def part_of(name: str) -> str:
    """Which of PARTS our tensor belongs to; "encoder" for the rest."""
    for part, prefix in PARTS.items():
        if name.startswith(prefix):
            return part
    return "encoder"


def shapes(config: BertConfig, outputs: int | None) -> dict[str, tuple]:
    """Our tensors' shapes by name; `outputs` is the width of a task's head."""
    width, inner = config.hidden_size, config.intermediate_size
    found = {
        "encoder/embeddings/token_embeddings": (config.vocab_size, width),
        "encoder/embeddings/segment_embeddings": (
            config.type_vocab_size,
            width,
        ),
        "encoder/embeddings/position_embeddings": (
            config.max_position_embeddings,
            width,
        ),
        "masked_lm/output_bias": (config.vocab_size,),
    }
    dense = {
        "encoder/pooler": (width, width),
        "masked_lm/transform": (width, width),
        "next_sentence/dense": (width, 2),
        "classifier": (width, outputs),
    }
    norms = [
        "encoder/embeddings/layer_norm",
        "encoder/final_layer_norm",
        "masked_lm/layer_norm",
    ]
    for i in range(config.num_hidden_layers):
        block = f"encoder/block_{i}"
        dense |= {
            f"{block}/attention/query_key_value": (width, 3 * width),
            f"{block}/attention/output": (width, width),
            f"{block}/feed_forward/intermediate": (width, inner),
            f"{block}/feed_forward/output": (inner, width),
        }
        norms += [
            f"{block}/attention_layer_norm",
            f"{block}/feed_forward_layer_norm",
        ]
    for name, shape in dense.items():
        found[f"{name}/kernel"], found[f"{name}/bias"] = shape, shape[1:]
    for name in norms:
        found[f"{name}/gamma"] = found[f"{name}/beta"] = (width,)
    return found


def present_parts(
    table: Sequence[Entry], theirs: Iterable[str]
) -> frozenset[str]:
    """The optional parts of which a file has any tensor."""
    theirs = set(theirs)
    return frozenset(
        part
        for item in table
        if (part := part_of(item.ours)) in PARTS and theirs & set(item.theirs)
    )


def unpack(
    table: Sequence[Entry],
    theirs: Mapping[str, np.ndarray],
    config: BertConfig,
    source: object,
) -> tuple[dict[str, np.ndarray], list[Row]]:
    """Turns a neighbour's tensors into ours.

    Args:
      table: expanded entries.
      theirs: the tensors by their names; none may be left over. A part
        (`PARTS`) may be missing as a whole.
      config: what shapes have to be.
      source: file or folder, for messages.

    Returns:
      Our tensors by name, and the map that was used.

    Raises:
      UserError: every tensor that is missing, left over, or of another shape
        or kind, by name.
    """
    parts = present_parts(table, theirs)
    used = [
        item
        for item in table
        if (part := part_of(item.ours)) not in PARTS or part in parts
    ]
    wanted = shapes(config, _outputs(used, theirs, config))
    problems = []
    for item in used:
        problems += _entry_problems(item, theirs, wanted[item.ours], config)
    known = {name for item in used for name in item.theirs}
    problems += [
        f"not part of a BERT: {name} {list(value.shape)}"
        for name, value in theirs.items()
        if name not in known
    ]
    if problems:
        raise UserError(
            f"the weights in {source} do not fit its config:\n  "
            + "\n  ".join(problems)
        )
    ours, rows = {}, []
    for item in used:
        arrays = [theirs[name] for name in item.theirs]
        value = np.asarray(item.form.to_ours(arrays, config), np.float32)
        ours[item.ours] = np.ascontiguousarray(value)
        rows.append(Row(item.ours, item.theirs, item.form.text, value.shape))
    return ours, rows


def _outputs(used, theirs, config) -> int | None:
    """The width of the task's head that the file has, if it has one."""
    for item in used:
        if item.ours == "classifier/bias" and item.theirs[0] in theirs:
            return int(np.size(theirs[item.theirs[0]]))
    return None


def _entry_problems(item: Entry, theirs, shape, config) -> list[str]:
    missing = [name for name in item.theirs if name not in theirs]
    if missing:
        return [f"missing: {name} (for {item.ours})" for name in missing]
    problems = []
    if None in shape:
        shape = tuple(0 if size is None else size for size in shape)
    # No memory is taken: all elements are the same one.
    model = np.broadcast_to(np.float32(0), shape)
    for name, like in zip(
        item.theirs, item.form.to_theirs(model, config), strict=True
    ):
        value = theirs[name]
        if tuple(value.shape) != tuple(like.shape):
            problems.append(
                f"another shape: {name} should be {list(like.shape)} by the "
                f"config, the file has {list(value.shape)}"
            )
        elif value.dtype.kind != "f":
            problems.append(f"no floating point numbers: {name} {value.dtype}")
    return problems


def pack(
    table: Sequence[Entry],
    ours: Mapping[str, np.ndarray],
    config: BertConfig,
    drop: frozenset[str] = frozenset(),
) -> tuple[dict[str, np.ndarray], list[Row]]:
    """Turns our tensors into a neighbour's.

    Args:
      table: expanded entries.
      ours: tensors by our names.
      config: for the heads' shapes.
      drop: parts that the neighbour's kind of model does not have.

    Raises:
      UserError: a tensor of ours has no name there.
    """
    theirs, rows = {}, []
    by_name = {item.ours: item for item in table}
    left = [
        name
        for name in ours
        if name not in by_name and part_of(name) not in drop
    ]
    if left:
        raise UserError(
            "there is no place in that format for:\n  "
            + "\n  ".join(f"{name} {list(ours[name].shape)}" for name in left)
        )
    for item in table:
        if item.ours not in ours or part_of(item.ours) in drop:
            continue
        arrays = item.form.to_theirs(ours[item.ours], config)
        for name, value in zip(item.theirs, arrays, strict=True):
            theirs[name] = np.ascontiguousarray(value)
        rows.append(
            Row(
                item.ours,
                item.theirs,
                item.form.text,
                tuple(ours[item.ours].shape),
            )
        )
    return theirs, rows
