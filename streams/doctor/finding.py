"""What a check found."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One sentence about one thing; when something is wrong, with what to do."""

    check: str
    level: Level
    message: str


Findings = Iterator[Finding]


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, message)


def warning(check: str, message: str) -> Finding:
    """Works, but should be looked at."""
    return Finding(check, Level.WARNING, message)


def problem(check: str, message: str) -> Finding:
    """Does not work."""
    return Finding(check, Level.PROBLEM, message)
