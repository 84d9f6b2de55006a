"""Errors that the user can mend."""

from __future__ import annotations


class UserError(Exception):
    """One sentence: what is wrong, and what to do next."""
