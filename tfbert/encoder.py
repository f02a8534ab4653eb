"""BertEncoder: embeddings, blocks, pooler."""

import functools
import math
from collections.abc import Callable

import keras
from keras import ops

from tfbert import fast_ops
from tfbert.config import BertConfig
from tfbert.layers.bert_layer import BertLayer, serializable
from tfbert.layers.dense import Dense
from tfbert.layers.embeddings import Embeddings
from tfbert.layers.encoder_block import EncoderBlock
from tfbert.layers.layer_norm import LayerNorm
from tfbert.layers.places import take_places
from tfbert.layers.real_tokens import RealTokens, Sizes, shut

INPUTS = (
    "input_ids",
    "input_mask",
    "segment_ids",
    "position_ids",
    "sequence_ids",
)
# In what Keras writes: (seed, how many were drawn).
_DRAWN = "drawn_seeds"


@serializable
class BertEncoder(BertLayer):
    """The encoder of Devlin et al. 2018, section 3.

    All variables exist when the constructor returns. With pre-norm the
    embeddings are not normalised and a last layer norm follows the blocks, as
    in Xiong et al. 2020.

    Args:
      config: the model's shape.
      dtype: Keras dtype or policy, for example "mixed_bfloat16".
      seed: of the initial weights, and of dropout in Keras' own `fit`.
      name: first part of every variable's name.
      draws_seeds: whether dropout that is called without a seed draws one,
        another at each call; Keras saves how many were drawn. Without it a
        seed must be passed, as a step does that resumes with the same bytes.

    Attributes:
      recompute: keep only each block's input for the backward pass and
        compute what is inside of the block again (Chen et al. 2016,
        "Training deep nets with sublinear memory cost", section 3). Dropout
        is a function of its seed, so that the gradient is the same.
      skip_padding: compute the real tokens of a batch alone, laid end to end
        (tfbert/layers/real_tokens.py). What is returned of them is the same;
        of padding it is 0. Needs prefixes of 1 in `input_mask`; dropout draws
        other values than over padded rows.
      fixed_sizes: number of rows -> Sizes, where shapes are fixed: batches of
        so many rows have no more tokens than that. Padding of others is
        computed. None: shapes are as they come.
    """

    def __init__(
        self,
        config: BertConfig,
        dtype=None,
        seed: int = 0,
        name: str = "encoder",
        draws_seeds: bool = True,
    ):
        super().__init__(config, seed=seed, dtype=dtype, name=name)
        self.recompute = self.skip_padding = False
        self.fixed_sizes: dict[int, Sizes] | None = None
        self.seed_generator = None
        if draws_seeds:
            self.seed_generator = keras.random.SeedGenerator(
                self.seed & 0x7FFFFFFF
            )
        policy = self.dtype_policy
        self.embeddings = Embeddings(config, seed=seed, dtype=policy)
        self.blocks = [
            EncoderBlock(config, index, seed=seed, dtype=policy)
            for index in range(config.num_hidden_layers)
        ]
        self.final_layer_norm = None
        if config.norm_position == "pre":
            self.final_layer_norm = LayerNorm(
                config, dtype=policy, name="final_layer_norm"
            )
        width = config.hidden_size
        self.pooler = Dense(
            config, width, width, seed=seed, dtype=policy, name="pooler"
        )
        self.build()

    def build(self):
        self.embeddings.build()
        for block in self.blocks:
            block.build()
        if self.final_layer_norm is not None:
            self.final_layer_norm.build()
        self.pooler.build()

    def call(
        self,
        inputs: dict[str, keras.KerasTensor],
        training: bool = False,
        dropout_seed: keras.KerasTensor | None = None,
        positions: keras.KerasTensor | None = None,
        head: Callable | None = None,
    ) -> dict[str, keras.KerasTensor]:
        """Encodes ids.

        Args:
          inputs: integers [B, S] by name; other keys are ignored.
            input_ids: required.
            input_mask: 1 for tokens, 0 for padding; default all 1.
            segment_ids: default all 0.
            position_ids: default 0, 1, ... S - 1.
            sequence_ids: for packed rows: 1, 2, ... by sequence, 0 for
              padding. Attention stays within a sequence.
          training: whether dropout is on.
          dropout_seed: int32 [2]; None: one is drawn, see `draws_seeds`.
          positions: integers [B, P], the places of each row that are read;
            None: all. The last block computes nothing else of the others
            than their keys and values, so that the places that are read are
            what they would be.
          head: [..., H] -> [..., W], to be computed of the vectors that are
            read; with `skip_padding` not of padding.

        Returns:
          "sequence_output" [B, S, H], or [B, P, H] with positions, and
          "pooled_output" [B, H] (tanh of the projection of the first place
          that is read), in the compute dtype; with a head "head_output"
          [B, S or P, W].

        Raises:
          ValueError: an input is missing, has not two axes, holds no
            integers or is longer than `max_position_embeddings`; dropout is
            on and has no seed.
        """
        inputs = self._checked(inputs)
        if training and dropout_seed is None and self.seed_generator:
            dropout_seed = ops.cast(self.seed_generator.next(), "int32")
        draw = {"training": training, "dropout_seed": dropout_seed}
        if "input_mask" in inputs and self._skips(
            inputs["input_mask"].shape[0]
        ):
            return self._unpadded(inputs, positions, draw, head)
        bias = self._attention_bias(inputs)  # [B, 1, 1 or S, S]
        last = bias if positions is None else _bias_at(bias, positions)
        x = self._encoded(inputs, [bias, last], positions, draw)
        return self._outputs(x, head)

    def _encoded(self, inputs, biases, positions, draw, real_tokens=None):
        """[B, S, H], or [B, P, H] with positions, of all blocks.

        Args:
          biases: that of all blocks but the last, and that of the last.
        """
        x = self.embeddings(
            inputs["input_ids"],
            inputs.get("segment_ids"),
            inputs.get("position_ids"),
            **draw,
        )  # [B, S, H]
        for block in self.blocks:
            last = block is self.blocks[-1]
            run = functools.partial(
                block,
                attention_bias=biases[-1 if last else 0],
                positions=positions if last else None,
                real_tokens=real_tokens,
                **draw,
            )
            if self.recompute and draw["training"]:
                run = fast_ops.recompute(run)
            x = run(x)
        if self.final_layer_norm is not None:
            x = self.final_layer_norm(x)
        return x

    def _skips(self, rows: int | None) -> bool:
        """Whether padding of so many rows is skipped."""
        sizes = self.fixed_sizes
        return self.skip_padding and (not sizes or rows in sizes)

    def places(self, mask: keras.KerasTensor):
        """How many places are computed of rows with this mask [..., S]."""
        shape = mask.shape[:-1]
        rows = None if None in shape else math.prod(shape)
        if not self._skips(rows):
            return ops.size(mask)
        if self.fixed_sizes:
            return self.fixed_sizes[rows].tokens
        return ops.sum(ops.cast(mask, "int32"))

    def _unpadded(self, inputs, positions, draw, head) -> dict:
        """What `call` returns, computed of real tokens alone."""
        mask = inputs["input_mask"]
        sizes = self.fixed_sizes and self.fixed_sizes[mask.shape[0]]
        longest = self.config.max_position_embeddings
        real = RealTokens(mask, longest, sizes)
        flat = {
            name: real.of(inputs[name])
            for name in ("input_ids", "segment_ids")
            if name in inputs
        }
        flat["position_ids"] = real.position_ids[None]
        at = None if positions is None else real.at(positions)
        x = self._encoded(flat, [None, None], at, draw, real)
        if real.fits is not None:
            x = ops.where(real.fits, x, math.nan)
        if positions is None:
            return self._outputs(x, head, real.in_rows)
        shape = (*ops.shape(positions), self.config.hidden_size)
        return self._outputs(ops.reshape(x, shape), head)

    def _outputs(self, x, head, in_rows=lambda x: x) -> dict:
        """The outputs by name; of x that is to be laid into rows yet."""
        rows = in_rows(x)
        pooled = ops.tanh(self.pooler(rows[:, 0]))
        outputs = {"sequence_output": rows, "pooled_output": pooled}
        if head is not None:
            outputs["head_output"] = in_rows(head(x))
        return outputs

    def _checked(self, inputs: dict) -> dict:
        if "input_ids" not in inputs:
            raise ValueError(
                "the encoder needs 'input_ids' (integers [B, S]), got "
                f"{sorted(inputs)}"
            )
        checked = {}
        for name in INPUTS:
            if inputs.get(name) is None:
                continue
            value = ops.convert_to_tensor(inputs[name])
            dtype = keras.backend.standardize_dtype(value.dtype)
            if len(value.shape) != 2 or "int" not in dtype:
                raise ValueError(
                    f"{name} must be integers of shape [B, S], got {dtype} of "
                    f"shape {tuple(value.shape)}"
                )
            checked[name] = value
        length = checked["input_ids"].shape[1]
        longest = self.config.max_position_embeddings
        # Packed rows may be longer: their positions start again.
        if "position_ids" not in checked and (length or 0) > longest:
            raise ValueError(
                f"sequences of {length} tokens are longer than "
                f"max_position_embeddings ({longest}); shorten them or train "
                "with more positions"
            )
        return checked

    def _attention_bias(self, inputs: dict) -> keras.KerasTensor:
        """Returns 0 for open and -1e9 (-3e4 in float16) for shut pairs."""
        ids = inputs["input_ids"]
        mask = inputs.get("input_mask")
        if mask is None:
            mask = ops.ones_like(ids)
        open_ = ops.not_equal(mask, 0)[:, None, None, :]  # [B, 1, 1, S]
        sequences = inputs.get("sequence_ids")
        if sequences is not None:
            rows = sequences[:, None, :, None]
            columns = sequences[:, None, None, :]
            same = ops.logical_and(
                ops.equal(rows, columns), ops.not_equal(columns, 0)
            )
            open_ = ops.logical_and(open_, same)  # [B, 1, S, S]
        return shut(ops.cast(ops.logical_not(open_), self.compute_dtype))

    def save_own_variables(self, store):
        """Keras leaves out how many seeds were drawn; they would repeat."""
        super().save_own_variables(store)
        if self.seed_generator is not None:
            store[_DRAWN] = ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        """A file without the seeds that were drawn leaves them as they are."""
        if self.seed_generator is not None and _DRAWN in store.keys():
            self.seed_generator.state.assign(store[_DRAWN])

    def get_config(self) -> dict:
        draws_seeds = self.seed_generator is not None
        return {**super().get_config(), "draws_seeds": draws_seeds}


def _bias_at(
    bias: keras.KerasTensor, positions: keras.KerasTensor
) -> keras.KerasTensor:
    """The rows of a bias [B, 1, 1 or S, S] at positions [B, P]."""
    if bias.shape[2] == 1:  # The same for each row.
        return bias
    return take_places(bias[:, 0], positions)[:, None]  # [B, 1, P, S]
