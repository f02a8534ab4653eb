"""Gradients in, updated weights out: optimizers and rates' schedules."""

import functools

from tfbert.optimizers.adamw import AdamW
from tfbert.optimizers.lamb import LAMB
from tfbert.optimizers.muon import Muon
from tfbert.optimizers.schedules import (
    SCHEDULES,
    WarmupCosineDecay,
    WarmupInverseSquareRoot,
    WarmupLinearDecay,
    WarmupOneCycle,
    WarmupPolynomialDecay,
    WarmupStableDecay,
)

# Names in the settings.
OPTIMIZERS = {
    "adamw": AdamW,
    "lamb": LAMB,
    "nvlamb": functools.partial(LAMB, prenormalise=True),
    "muon": Muon,
}

__all__ = [
    "AdamW",
    "LAMB",
    "Muon",
    "OPTIMIZERS",
    "SCHEDULES",
    "WarmupCosineDecay",
    "WarmupInverseSquareRoot",
    "WarmupLinearDecay",
    "WarmupOneCycle",
    "WarmupPolynomialDecay",
    "WarmupStableDecay",
]
