"""Where the routing comes from, and that a change counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors import topics
from connectors.sinks.settings import SinksSettings
from models.risk import AlertRule
from streams.delivery.routing import RoutingError, everyone, who
from streams.delivery.source import (
    RoutingFile,
    RoutingOfPolicy,
    RoutingSource,
    changed,
    open_source,
)
from streams.policy.desk import PolicyDesk
from tests.unit.journal import NOW, MemoryJournal
from tests.unit.sinks.alerts import alert
from tests.unit.sinks.peers import SECRET

SHIPPED = [("deterioration", AlertRule(fire=0.5, clear=0.4, critical=0.8, version="shipped"))]
A = "receivers: [{name: a}]\nroute: {receiver: a}\n"
IN_POLICY = "routing:\n  receivers: [{name: a}]\n  route: {receiver: a}\n"


def names(source: RoutingSource) -> list[str]:
    source.look()
    return [told.receiver for told in who(source.current, alert())]


def desk(journal: MemoryJournal) -> PolicyDesk:
    return PolicyDesk(journal, SHIPPED, lambda: NOW, two_person=False)


def activate(journal: MemoryJournal, text: str) -> None:
    version = desk(journal).propose(text, who="ann", reason="r").name
    desk(journal).approve(version, who="ann")
    desk(journal).activate(version, who="ann")


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    """A version that cannot be used leaves things as they were, and so does none at all."""
    file = tmp_path / "r.yaml"
    file.write_text(A)
    source = RoutingFile(file)
    assert names(source) == ["a"]
    file.write_text("route: {receiver: ghost}\n")
    assert names(source) == ["a"]
    file.unlink()
    assert names(source) == ["a"]
    file.write_text("receivers: [{name: b}]\nroute: {receiver: b}\n# longer\n")
    assert names(source) == ["b"]


def test_a_change_says_where_it_comes_from_once(tmp_path: Path) -> None:
    """For the audit, with a digest of what counts now."""
    file = tmp_path / "r.yaml"
    file.write_text(A)
    source = RoutingFile(file)
    assert source.look() == ""
    before = changed("x", source.current, NOW)
    file.write_text(A + "# a comment\n")
    assert source.look() == f"file {file}"
    assert source.look() == ""
    assert changed("x", source.current, NOW) == before
    journal = MemoryJournal()
    policy = RoutingOfPolicy(journal, everyone(["b"]), two_person=False)
    activate(journal, IN_POLICY)
    assert policy.look().startswith("policy 1-")
    assert changed("x", policy.current, NOW).digest == before.digest


def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """Then there is nothing to stay with."""
    with pytest.raises(RoutingError):
        RoutingFile(tmp_path / "none.yaml")


def test_the_policy_in_force_decides_and_can_be_rolled_back() -> None:
    """Without one, or without that section, everyone is told."""
    journal = MemoryJournal()
    source = RoutingOfPolicy(journal, everyone(["a", "b"]), two_person=False)
    assert names(source) == ["a", "b"]
    activate(journal, IN_POLICY)
    assert names(source) == ["a"]
    activate(journal, "risks: {deterioration: {fire: 0.45}}\n")
    assert names(source) == ["a", "b"]
    desk(journal).roll_back(who="ann", reason="r")
    assert names(source) == ["a"]


def test_a_proposal_changes_nothing_and_neither_does_a_broker_that_is_away() -> None:
    """Nor a record that is none."""
    journal = MemoryJournal()
    source = RoutingOfPolicy(journal, everyone(["b"]), two_person=False)
    desk(journal).propose(IN_POLICY, who="ann", reason="r")
    journal.append(topics.CONFIG, b"no event", [])
    assert names(source) == ["b"]
    journal.away = True
    assert names(source) == ["b"]


def test_a_file_counts_where_both_are_there(tmp_path: Path) -> None:
    """And the policy where no file is set."""
    journal = MemoryJournal()
    activate(journal, IN_POLICY)
    file = tmp_path / "r.yaml"
    file.write_text("receivers: [{name: b}]\nroute: {receiver: b}\n")
    receivers = {n: {"kind": "webhook", "url": "https://h", "secret": SECRET} for n in "ab"}
    both = SinksSettings.model_validate({"routing": file, "receivers": receivers})
    policy = SinksSettings.model_validate({"receivers": receivers})
    assert names(open_source(both, journal, two_person=False)) == ["b"]
    assert names(open_source(policy, journal, two_person=False)) == ["a"]
