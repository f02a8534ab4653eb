"""`tf.train.Example`s of the 2018 format -> arrays, checked.

Legend: B rows, S sequence, P predictions.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfrecords import layout

# Names that newer scripts of Model Garden give to the same things.
_OTHER_NAMES = {
    layout.INPUT_IDS: "input_word_ids",
    layout.SEGMENT_IDS: "input_type_ids",
}
_KEYS = (
    layout.INPUT_IDS,
    layout.INPUT_MASK,
    layout.SEGMENT_IDS,
    layout.MASKED_LM_POSITIONS,
    layout.MASKED_LM_IDS,
    layout.MASKED_LM_WEIGHTS,
)
# Of what is 0 or 1.
_TWO = (layout.INPUT_MASK, layout.SEGMENT_IDS, layout.NEXT_SENTENCE_LABELS)


class BadExample(ValueError):
    """An example that cannot be used.

    Attributes:
      place: which of those that were read.
      problem: what is wrong with it.
    """

    def __init__(self, place: int, problem: str):
        super().__init__(problem)
        self.place = place
        self.problem = problem


@dataclasses.dataclass(frozen=True)
class Form:
    """What the examples of a folder have, all as the first one.

    Attributes:
      names: {key of `spec`: name in the files}.
      sizes: {key: how many values}.
    """

    names: dict[str, str]
    sizes: dict[str, int]

    @classmethod
    def of(cls, serialised: bytes) -> "Form":
        """The form of an example.

        Raises:
          BadExample: it is none, or lacks a feature of the 2018 format.
        """
        import tensorflow as tf

        try:
            example = tf.train.Example.FromString(serialised)
        except Exception as error:
            problem = f"it is no tf.train.Example ({error})"
            raise BadExample(0, problem) from None
        features = example.features.feature
        names, sizes = {}, {}
        for key in (*_KEYS, layout.NEXT_SENTENCE_LABELS):
            name = key if key in features else _OTHER_NAMES.get(key, key)
            if name not in features:
                if key == layout.NEXT_SENTENCE_LABELS:
                    continue
                raise BadExample(
                    0,
                    f"it has no {key!r}, only {sorted(features)}; wanted the "
                    "features of the 2018 format",
                )
            names[key] = name
            feature = features[name]
            sizes[key] = len(feature.int64_list.value) or len(
                feature.float_list.value
            )
        return cls(names, sizes)

    def parse(self, data: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Reads examples, B of them, one or more.

        Returns:
          {key: [B, size]}, int32, weights float32; next-sentence labels [B].

        Raises:
          BadExample: one is none, or of another form than the first.
        """
        import tensorflow as tf

        features = {
            name: tf.io.FixedLenFeature(
                [self.sizes[key]],
                tf.float32 if key == layout.MASKED_LM_WEIGHTS else tf.int64,
            )
            for key, name in self.names.items()
        }
        try:
            parsed = tf.io.parse_example(data, features)
        except tf.errors.InvalidArgumentError as error:
            raise self._first_bad(data, features, error) from None
        return self._arrays(
            {key: parsed[name].numpy() for key, name in self.names.items()}
        )

    def empty(self) -> dict[str, np.ndarray]:
        """What `parse` returns, of no example."""
        return self._arrays(
            {key: np.zeros((0, size)) for key, size in self.sizes.items()}
        )

    def _arrays(self, parsed) -> dict[str, np.ndarray]:
        made = {
            key: values.astype(
                np.float32 if key == layout.MASKED_LM_WEIGHTS else np.int32
            )
            for key, values in parsed.items()
        }
        if layout.NEXT_SENTENCE_LABELS in made:
            labels = made[layout.NEXT_SENTENCE_LABELS]
            made[layout.NEXT_SENTENCE_LABELS] = labels.reshape(-1)
        return made

    def _first_bad(self, data, features, error) -> BadExample:
        """Which example TensorFlow cannot parse, and why."""
        import tensorflow as tf

        for place, one in enumerate(data):
            try:
                tf.io.parse_example([one], features)
            except tf.errors.InvalidArgumentError as own:
                return BadExample(place, self._difference(one) or own.message)
        return BadExample(0, error.message)

    def _difference(self, one: bytes) -> str | None:
        try:
            other = Form.of(one)
        except BadExample as error:
            return error.problem
        for key, size in self.sizes.items():
            if other.sizes.get(key) != size:
                return (
                    f"{self.names[key]} has {other.sizes.get(key, 0)} values, "
                    f"the first record has {size}; rows of one length make a "
                    "batch, so train on a folder for each length"
                )
        return None


def find_odd(
    made: dict[str, np.ndarray], vocab_size: int
) -> tuple[int, str] | None:
    """The first row with a value that cannot be, and what it is.

    Args:
      made: of `Form.parse`.
      vocab_size: V.
    """
    length = made[layout.INPUT_IDS].shape[1]
    limits = {
        layout.INPUT_IDS: vocab_size,
        layout.MASKED_LM_IDS: vocab_size,
        layout.MASKED_LM_POSITIONS: length,
        **dict.fromkeys(_TWO, 2),
    }
    for key, limit in limits.items():
        if key not in made:
            continue
        values = made[key].reshape(len(made[key]), -1)
        bad = (values < 0) | (values >= limit)
        if bad.any():
            row, place = np.argwhere(bad)[0]
            return int(row), (
                f"{key} holds {values[row, place]}, wanted 0 to {limit - 1}"
            )
    weights = made[layout.MASKED_LM_WEIGHTS]
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row, place = np.argwhere(bad)[0]
        return int(row), (
            f"{layout.MASKED_LM_WEIGHTS} holds {weights[row, place]}, wanted "
            "0 or more"
        )
    return None
