"""The error that a user's mistake raises."""


class UserError(ValueError):
    """A mistake in the input, settings or files that a user gave.

    The message says what was wanted, what came and what to do, with file and
    line where there is one. Commands print it without a traceback and exit
    with its status.

    Attributes:
      status: the exit status; docs/architecture.md lists them all.
    """

    status = 2
