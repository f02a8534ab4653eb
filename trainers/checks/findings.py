"""What a doctor finds: mistakes, advice, and what is well."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from tfbert.errors import UserError

# What each finding is printed with.
MARKS = {"fine": "ok      ", "advice": "advice  ", "mistake": "MISTAKE "}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
      kind: a mistake stops a run or spoils its result; advice does not.
      area: what part of the set-up it is about.
      message: what was wanted, what came, what to do.
    """

    kind: Literal["fine", "advice", "mistake"]
    area: str
    message: str

    def __str__(self) -> str:
        indented = self.message.replace("\n", "\n" + " " * len(MARKS["fine"]))
        return f"{MARKS[self.kind]}{self.area}: {indented}"


class Findings:
    """Collects findings.

    Args:
      report: called with each finding as it is made.
    """

    def __init__(self, report: Callable[[Finding], None] = lambda _: None):
        self.all: list[Finding] = []
        self._report = report

    @property
    def mistakes(self) -> list[Finding]:
        """The mistakes among them."""
        return [finding for finding in self.all if finding.kind == "mistake"]

    def add(self, kind: str, area: str, message: str) -> None:
        """Adds a finding, unless the same was made before."""
        finding = Finding(kind, area, message)
        if finding not in self.all:
            self.all.append(finding)
            self._report(finding)

    def attempt(self, area: str, check: Callable, *arguments) -> Any:
        """Calls a check; its UserError or OSError becomes a mistake.

        Returns:
          what the check returns; None where it failed.
        """
        try:
            return check(*arguments)
        except UserError as error:
            self.add("mistake", area, str(error))
        except OSError as error:
            self.add(
                "mistake",
                area,
                f"wanted to read {error.filename}, got: {error.strerror}; "
                "look at its path and permissions",
            )
        return None
