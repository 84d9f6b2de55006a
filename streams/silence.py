"""Reasons for a score that is none, which no model gives: the worker does, whatever the risk."""

from __future__ import annotations

from enum import StrEnum


class Silence(StrEnum):
    """Each member's comment is its documentation."""

    MERGED = "merged"  # the patient goes on under another identity
    FEED_DOWN = "feed_down"  # data are lacking, and a feed of this patient is silent
    RETIRED = "retired"  # the worker does not ask about this risk any more
