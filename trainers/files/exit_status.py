"""Exit statuses of the verbs; docs/architecture.md says what they mean."""

import signal

from tfbert.errors import UserError

USER_ERROR = UserError.status
DIVERGED = 3
CANNOT_WRITE = 4
LOST = 5
NOT_STARTED = 6
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class Stopped(Exception):
    """A signal ended a run early; what it had learnt is saved.

    The same call goes on from there. Verbs exit with its status.

    Args:
      message: at which step, and where it goes on.
      status: 128 and the signal's number, as shells have it.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status
