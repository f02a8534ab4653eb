import keras
import numpy as np

from tfbert.optimizers import LAMB, WarmupLinearDecay


def reference(weights, gradients, adapts, rates, decay):
    """Algorithm 2 of You et al. 2020 in float64."""
    weights = weights.astype(np.float64)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        first = 0.9 * first + 0.1 * g
        second = 0.999 * second + 0.001 * g**2
        update = first / (1 - 0.9**t)
        update /= np.sqrt(second / (1 - 0.999**t)) + 1e-6
        ratio = 1.0
        if adapts:
            update = update + decay * weights
            sizes = np.linalg.norm(weights), np.linalg.norm(update)
            ratio = sizes[0] / sizes[1] if min(sizes) > 0 else 1.0
        weights = weights - rate * ratio * update
    return weights


def test_equals_numpy():
    layer = keras.layers.Dense(3, name="dense")
    layer.build((None, 4))
    layer.bias.assign([1.0, -2.0, 3.0])
    zero = keras.Variable(np.zeros((2, 2), np.float32), name="kernel")
    variables = [*layer.trainable_variables, zero]
    optimizer = LAMB(WarmupLinearDecay(0.1, 3, 12), weight_decay=0.2)
    optimizer.build(variables)
    start = [variable.numpy() for variable in variables]
    rng = np.random.default_rng(0)
    steps = [[rng.normal(0, 1, w.shape) for w in start] for _ in range(8)]
    rates = [0.1 * min(t / 3, (13 - t) / 9) for t in range(1, 9)]
    for gradients in steps:
        optimizer.apply([np.float32(g) for g in gradients])
    # The bias has neither decay nor ratio; weights of zero begin with ratio 1.
    for i, adapts in enumerate([True, False, True]):
        gradients = [gradients[i] for gradients in steps]
        wanted = reference(start[i], gradients, adapts, rates, 0.2)
        np.testing.assert_allclose(
            variables[i].numpy(), wanted, rtol=5e-5, atol=1e-6
        )


def test_nvlamb_is_lamb_on_gradients_of_norm_one():
    start = [np.float32([[1, 2], [3, 4]]), np.float32([[5, -6]])]
    rng = np.random.default_rng(1)
    steps = [[rng.normal(0, 9, w.shape) for w in start] for _ in range(5)]
    steps[2] = [np.zeros_like(w) for w in start]  # No norm: no gradient.
    kernels = [keras.Variable(w, name="kernel") for w in start]
    optimizer = LAMB(0.1, weight_decay=0.2, prenormalise=True)
    optimizer.build(kernels)
    for gradients in steps:
        optimizer.apply([np.float32(g) for g in gradients])
    norms = [
        np.sqrt(sum(np.sum(g**2) for g in gradients)) or 1.0
        for gradients in steps
    ]
    for i, weights in enumerate(start):
        units = [g[i] / norm for g, norm in zip(steps, norms, strict=True)]
        wanted = reference(weights, units, True, [0.1] * 5, 0.2)
        np.testing.assert_allclose(kernels[i].numpy(), wanted, rtol=5e-5)


def test_config_round_trip():
    optimizer = LAMB(
        WarmupLinearDecay(1e-3, 2, 9),
        weight_decay=0.2,
        beta_1=0.8,
        prenormalise=True,
    )
    copy = LAMB.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
