"""The names of everything in Redis.

All keys of a partition share a hash tag (`{7}`), so that one script may touch them in a Redis
Cluster. `streams.store` writes them, `streams.state_reader` reads them.
"""

from __future__ import annotations

PREFIX = "tocsin"


def position(partition: int) -> str:
    """Hash: `fence` (who may write), `offset` (last applied record), `silent` feeds, `policy`."""
    return f"{PREFIX}:{{{partition}}}:position"


def outbox(partition: int) -> str:
    """Hash: offset → records not yet known to be in Kafka."""
    return f"{PREFIX}:{{{partition}}}:outbox"


def due(partition: int) -> str:
    """Sorted set: patient by the tick at which something happens without a message."""
    return f"{PREFIX}:{{{partition}}}:due"


def alerts(partition: int) -> str:
    """Hash: alert id → newest revision; of patients who lie packed, only those not ended."""
    return f"{PREFIX}:{{{partition}}}:alerts"


def summaries(partition: int) -> str:
    """Hash: patient → what a list shows; of patients who lie packed, unless they have left."""
    return f"{PREFIX}:{{{partition}}}:summaries"


def patient(partition: int, pseudonym: str) -> str:
    """Hash: `m` state, `f:<slot>` own facts, `p:<path>/<slot>` facts handed on by others,
    `s:<risk>` newest score, `t:<risk>` trend, `w:<risk>/<n>` the n-th stretch of its trajectory."""
    return f"{PREFIX}:{{{partition}}}:patient:{pseudonym}"


def sign_in(key: str) -> str:
    """String: a session of the console, or a sign-in under way (`streams.console.sign_in`)."""
    return f"{PREFIX}:sign-in:{key}"


STATE_FIELD = b"m"
PACKED_FIELD = b"z"  # alone in its hash: all other fields, compressed (`streams.memory`)
FACT_FIELD = b"f:"
PART_FIELD = b"p:"
SCORE_FIELD = b"s:"
TREND_FIELD = b"t:"
WALK_FIELD = b"w:"
ALERT_FIELD = b"a:"  # in a packed patient alone: alerts that have ended, by id
