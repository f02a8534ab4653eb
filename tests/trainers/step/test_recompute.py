"""Activations computed again in the backward pass: the same training."""

import re

import numpy as np
import pytest
import tensorflow as tf
from step_cases import CONFIG, batches, make_data, make_model, weights_of

import tfbert

DROPOUT = tfbert.BertConfig(
    **{
        **CONFIG.to_dict(),
        "hidden_dropout_prob": 0.3,
        "attention_probs_dropout_prob": 0.2,
    }
)


def train(recompute, **options):
    model = make_model(config=DROPOUT, **options)
    model.task.encoder.recompute = recompute
    model.fit(
        batches(model, make_data()), steps_per_epoch=3, verbose=0, shuffle=False
    )
    return weights_of(model)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.long),
        pytest.param(
            {"replicas": 2, "accumulation_steps": 2}, marks=pytest.mark.long
        ),
    ],
    ids=str,
)
def test_the_same_weights_with_dropout_on(options):
    np.testing.assert_allclose(
        train(True, **options), train(False, **options), atol=1e-6
    )


def test_the_same_gradients():
    gradients = []
    for recompute in (False, True):
        model = make_model(config=DROPOUT)
        model.task.encoder.recompute = recompute
        gradients.append(_compute(model._forward_backward, model)[0])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.long
def test_xla_does_compute_again():
    """Six products a block; XLA has not merged them with the first ones."""
    products = []
    for recompute in (False, True):
        model = make_model(config=DROPOUT, xla=True)
        model.task.encoder.recompute = recompute
        lowered = _compute(
            model._forward_backward.experimental_get_compiler_ir, model
        )
        products.append(len(re.findall(r" dot\(", lowered("optimized_hlo"))))
    # Of each block, and one more of the last, which asks for the query of
    # the masked places apart.
    assert products[1] == products[0] + 6 * CONFIG.num_hidden_layers + 1


def _compute(function, model):
    data = next(iter(batches(model, make_data(steps=1))))
    weights = model.task.loss_weights(data)
    return function(data, weights, tf.constant(1.0), tf.constant([1, 2]))
