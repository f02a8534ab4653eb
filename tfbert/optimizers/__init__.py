"""Optimizers and learning-rate schedules."""

from tfbert.optimizers.adamw import AdamW
from tfbert.optimizers.schedules import WarmupLinearDecay

__all__ = ["AdamW", "WarmupLinearDecay"]
