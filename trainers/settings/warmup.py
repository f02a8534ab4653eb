"""Warm-up in steps, as a share of all steps, or in tokens."""

import dataclasses

from tfbert.errors import UserError
from trainers.settings.ranges import check_number

# Of runs that do not say; shorter ones take a tenth.
DEFAULT_STEPS = 100


def with_warmup_steps(optimization, sequence_length: int):
    """Returns the settings with `warmup_steps` as a number of steps.

    Args:
      optimization: PretrainingOptimization.
      sequence_length: tokens of a row, padding included.

    Raises:
      UserError: both a share and tokens are given, or they make no sense.
    """
    share, tokens = optimization.warmup_share, optimization.warmup_tokens
    if share is None and tokens is None:
        if optimization.warmup_steps is not None:
            return optimization
        steps = min(DEFAULT_STEPS, optimization.steps // 10)
        return dataclasses.replace(optimization, warmup_steps=steps)
    if share is not None and tokens is not None:
        raise UserError(
            "wanted optimization.warmup_share or optimization.warmup_tokens, "
            f"got both ({share} and {tokens}); leave one out"
        )
    if share is not None:
        check_number("optimization.warmup_share", share)
        steps = round(share * optimization.steps)
    else:
        check_number("optimization.warmup_tokens", tokens)
        steps = optimization.batch_plan.steps_for(tokens / sequence_length)
        if steps >= optimization.steps:
            raise UserError(
                f"optimization.warmup_tokens ({tokens:,}) are {steps:,} steps "
                f"of warm-up, and the run has {optimization.steps:,}; lower "
                "them, or train for more steps"
            )
    return dataclasses.replace(optimization, warmup_steps=steps)
