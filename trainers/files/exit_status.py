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
