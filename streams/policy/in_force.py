"""The policy that a partition of the log has in force: what a record of facts changes about it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connectors import contract
from connectors.configuration import PolicyInForce
from connectors.contract import LogPosition
from connectors.quarantine import Reason, quarantined
from models.risk import RiskModel
from streams.policy import document
from streams.policy.document import PolicyError
from streams.policy.rules import Rulebook

_decoder = msgspec.json.Decoder(PolicyInForce)


def in_force(
    before: bytes, new: PolicyInForce | None, models: Sequence[RiskModel]
) -> tuple[bytes, str]:
    """The policy from this record on, and what is wrong with the record's own one.

    A policy that is not newer changes nothing: the sequencer may write one twice. One that cannot
    be used changes nothing either: the one before it goes on.
    """
    if new is None or (before and new.serial <= _decoder.decode(before).serial):
        return before, ""
    after = msgspec.json.encode(msgspec.structs.replace(new, at=0.0))
    try:
        rulebook(after).check((model.risk, model.rule) for model in models)
    except PolicyError as error:
        return before, str(error)
    return after, ""


def rulebook(policy: bytes) -> Rulebook:
    """Made ready for use. Raises `PolicyError`."""
    if not policy:
        return Rulebook()
    said = _decoder.decode(policy)
    return Rulebook(document.read(said.policy), said.version)


def refused(policy: PolicyInForce, problem: str, log: LogPosition) -> bytes:
    """The record of `tocsin.quarantine` for a policy that a worker cannot use."""
    place = f"{log.topic}/{log.partition}/{log.offset}"
    record = quarantined(
        Reason.BAD_POLICY,
        problem[:300],
        raw=policy.policy.encode(),
        received_at=policy.at,
        source=f"policy {policy.version}",
        location=place,
    )
    return contract.encode(record)
