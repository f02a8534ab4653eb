"""Records in, a pretrained encoder out."""

from trainers.files.exit_status import Stopped
from trainers.pretraining.api import pretrain

__all__ = ["Stopped", "pretrain"]
