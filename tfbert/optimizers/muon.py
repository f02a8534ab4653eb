"""Muon for the matrices of the blocks, AdamW for everything else."""

import keras
from keras import ops

from tfbert import fast_ops
from tfbert.optimizers.adamw import AdamW

# Of the quintic iteration: Jordan et al. 2024, "Muon: An optimizer for hidden
# layers in neural networks".
_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5
# The root mean square of an update, as Adam's usually is: Liu et al. 2025,
# "Muon is scalable for LLM training", section 2.2.
_RMS = 0.2


@keras.saving.register_keras_serializable("tfbert")
class Muon(AdamW):
    """Steps along the nearest orthogonal matrix to the momentum.

    For a matrix W [m, n] of a block with gradient G, rate a:

        M = momentum M + G
        O = orthogonal(G + momentum M)
        W = W - a weight_decay W
        W = W - a 0.2 sqrt(max(m, n)) O

    where orthogonal() pulls all singular values near 1 (Jordan et al. 2024,
    five steps of a Newton-Schulz iteration), and the factor gives the step the
    size of one of Adam's, so that rates and decay of AdamW fit (Liu et al.
    2025, section 2.2). The kernel of query, key and value is three matrices.
    Tables, biases, layer norms and heads take AdamW's step; of matrices there
    is no second moment.

    Args:
      learning_rate, weight_decay, beta_1, beta_2, epsilon, bias_correction:
        see AdamW.
      momentum: memory of the gradient, of the matrices.
    """

    def __init__(
        self,
        learning_rate=1e-4,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        momentum: float = 0.95,
        name: str = "muon",
        **options,
    ):
        super().__init__(
            learning_rate,
            weight_decay,
            beta_1,
            beta_2,
            epsilon,
            name=name,
            **options,
        )
        self.momentum = momentum

    def make_second_moments(self, variables) -> list:
        """Of all but the matrices of blocks; None in their place."""
        others = [v for v in variables if not is_matrix_of_block(v)]
        made = iter(self.add_optimizer_variables(others, "second_moment"))
        return [
            None if is_matrix_of_block(variable) else next(made)
            for variable in variables
        ]

    def update_step(self, gradient, variable, learning_rate, correction=None):
        """Updates one variable and its moments; see AdamW."""
        index = self._get_variable_index(variable)
        if self._second[index] is not None:
            super().update_step(gradient, variable, learning_rate, correction)
            return
        dtype, kept = variable.dtype, self._first[index]
        rate = ops.cast(learning_rate, dtype)
        gradient = ops.cast(fast_ops.densify(gradient), dtype)
        self.assign(kept, self.momentum * kept + gradient)
        direction = gradient + self.momentum * kept
        if self.decay:
            self.assign_sub(variable, variable * (rate * self.decay))
        rows, columns = variable.shape
        parts = 3 if columns == 3 * rows else 1
        step = orthogonal(direction, parts)
        size = _RMS * max(rows, columns // parts) ** 0.5
        self.assign_sub(variable, rate * size * step)

    def get_config(self) -> dict:
        return {**super().get_config(), "momentum": self.momentum}


def is_matrix_of_block(variable) -> bool:
    """Whether a variable is the kernel of a dense layer in a block."""
    *folders, leaf = variable.path.split("/")
    in_block = any(folder.startswith("block_") for folder in folders)
    return leaf == "kernel" and in_block and len(variable.shape) == 2


def orthogonal(matrix, parts: int = 1):
    """About the nearest orthogonal matrix: U S V^T with all of S near 1.

    Args:
      matrix: [m, n].
      parts: matrices that stand beside each other, [m, n / parts] each.
    """
    rows, columns = matrix.shape
    columns //= parts
    x = ops.reshape(matrix, (rows, parts, columns))
    wide = rows <= columns
    # The shorter axis first: the products are of its width.
    x = ops.transpose(x, (1, 0, 2) if wide else (1, 2, 0))
    norm = ops.sqrt(ops.sum(ops.square(x), axis=(1, 2), keepdims=True))
    x = x / (norm + 1e-7)
    for _ in range(_STEPS):
        squared = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
        rest = _B * squared + _C * ops.matmul(squared, squared)
        x = _A * x + ops.matmul(rest, x)
    x = ops.transpose(x, (1, 0, 2) if wide else (2, 0, 1))
    return ops.reshape(x, (rows, parts * columns))
