"""Optimizers and learning-rate schedules."""

from tfbert.optimizers.adamw import AdamW
from tfbert.optimizers.lamb import LAMB
from tfbert.optimizers.schedules import (
    SCHEDULES,
    WarmupCosineDecay,
    WarmupInverseSquareRoot,
    WarmupLinearDecay,
    WarmupPolynomialDecay,
)

# Names in the settings.
OPTIMIZERS = {"adamw": AdamW, "lamb": LAMB}

__all__ = [
    "AdamW",
    "LAMB",
    "OPTIMIZERS",
    "SCHEDULES",
    "WarmupCosineDecay",
    "WarmupInverseSquareRoot",
    "WarmupLinearDecay",
    "WarmupPolynomialDecay",
]
