"""What went wrong on this machine, in one sentence that says what to do."""

from __future__ import annotations


class LocalError(Exception):
    """Something on this machine prevents a local run; the message says what to do."""
