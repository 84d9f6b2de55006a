"""Which rule counts where, what holds an alert back and until when."""

from __future__ import annotations

from datetime import datetime

import pytest

from connectors.contract import AlertReason, Severity
from models.risk import AlertRule
from streams.policy.document import PolicyError, read
from streams.policy.rules import Case, Code, Rulebook

SHIPPED = AlertRule(fire=0.5, clear=0.4, critical=0.8, version="shipped")
RISK = "deterioration"


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def case(ward: str = "W1", severity: Severity = Severity.WARNING, *codes: Code) -> Case:
    return Case("p-1", RISK, ward, severity, lambda: codes)


def book(text: str) -> Rulebook:
    return Rulebook(read(text), "7-abc")


def test_without_a_policy_the_bundle_decides() -> None:
    rule = Rulebook().rule(RISK, "W1", SHIPPED)
    assert (rule.fire, rule.clear, rule.critical, rule.version) == (0.5, 0.4, 0.8, "shipped")
    assert Rulebook().hold(case(), 0.0) is None
    assert Rulebook().changes_at(case(), 0.0) is None


def test_a_ward_overrides_the_risk_and_the_risk_the_bundle() -> None:
    rules = book(f"risks: {{{RISK}: {{fire: 0.45, wards: {{'ICU*': {{fire: 0.6}}}}}}}}")
    assert rules.rule(RISK, "W1", SHIPPED).fire == 0.45
    assert rules.rule(RISK, "ICU2", SHIPPED).fire == 0.6
    assert rules.rule("sepsis", "ICU2", SHIPPED).fire == 0.5
    assert rules.rule(RISK, "W1", SHIPPED).version == "7-abc"


def test_equal_rules_have_equal_digests_in_any_version() -> None:
    same = f"risks: {{{RISK}: {{fire: 0.5}}}}"
    digest = Rulebook().rule(RISK, "", SHIPPED).digest
    assert book(same).rule(RISK, "", SHIPPED).digest == digest
    assert book(same.replace("0.5", "0.51")).rule(RISK, "", SHIPPED).digest != digest


def test_a_rule_that_makes_no_sense_with_the_bundle_is_refused() -> None:
    rules = book(f"risks: {{{RISK}: {{wards: {{ICU: {{fire: 0.9}}}}}}}}")
    with pytest.raises(PolicyError, match=r"risks.deterioration.wards.ICU: fire \(0.9\) is above"):
        rules.check([(RISK, SHIPPED)])


def test_stages() -> None:
    assert book("stage: shadow").hold(case(), 0.0) == (AlertReason.SHADOW, "shadow")
    only = book("stage: [W2]")
    assert only.hold(case("W1"), 0.0) is not None
    assert only.hold(case("W2"), 0.0) is None


def test_an_inhibition_by_code_and_by_place() -> None:
    rules = book(
        "inhibitions:\n- {name: palliative, codes: [{code: Z51.5, system: I10}]}\n"
        "- {name: theatre, located: ['OR*'], severities: [warning]}"
    )
    assert rules.hold(case("W1", Severity.CRITICAL, Code("Z51.5", "I10")), 0.0) == (
        AlertReason.INHIBITED,
        "palliative",
    )
    assert rules.hold(case("W1", Severity.CRITICAL, Code("Z51.5", "OTHER")), 0.0) is None
    assert rules.hold(case("OR2"), 0.0) == (AlertReason.INHIBITED, "theatre")
    assert rules.hold(case("OR2", Severity.CRITICAL), 0.0) is None


def test_a_silence_has_an_end() -> None:
    rules = book(
        "silences: [{name: s, match: {ward: W1}, from: 2026-01-01T10:00Z, "
        "until: 2026-01-01T12:00Z}]"
    )
    start, end = at("2026-01-01T10:00Z"), at("2026-01-01T12:00Z")
    assert rules.hold(case(), start - 1) is None
    assert rules.changes_at(case(), start - 1) == start
    assert rules.hold(case(), start) == (AlertReason.SILENCED, "s")
    assert rules.changes_at(case(), start) == end
    assert rules.hold(case(), end) is None
    assert rules.changes_at(case(), end) is None
    assert rules.hold(case("W2"), start) is None


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        ("2026-01-01T21:59:59+01:00", False),
        ("2026-01-01T22:00+01:00", True),
        ("2026-01-02T05:59:59+01:00", True),
        ("2026-01-02T06:00+01:00", False),
        ("2026-07-01T22:30+02:00", True),  # by the clock on the wall, in summer too
    ],
)
def test_warnings_wait_in_quiet_hours_and_criticals_never(moment: str, quiet: bool) -> None:
    rules = book(
        "quiet_hours: [{name: night, from: 22:00, until: 06:00, time_zone: Europe/Vienna}]"
    )
    held = rules.hold(case(), at(moment))
    assert (held is not None) is quiet
    assert rules.hold(case("W1", Severity.CRITICAL), at(moment)) is None


def test_quiet_hours_change_at_their_borders_over_the_end_of_summer_time() -> None:
    rules = book(
        "quiet_hours: [{name: night, from: 22:00, until: 06:00, time_zone: Europe/Vienna}]"
    )
    border = rules.changes_at(case(), at("2026-10-24T23:00+02:00"))
    assert border == at("2026-10-25T06:00+01:00")


@pytest.mark.parametrize(
    ("hours", "night"),
    [
        ("from: 22:00, until: 02:30", "2026-10-24T20:00Z"),  # the clock shows 02:30 twice
        ("from: 02:30, until: 02:45", "2026-10-24T20:00Z"),
        ("from: 22:00, until: 02:30", "2027-03-27T20:00Z"),  # or never
        ("from: 02:10, until: 05:00", "2027-03-27T20:00Z"),
    ],
)
def test_nothing_is_held_longer_for_a_clock_that_is_put_back_or_forward(
    hours: str, night: str
) -> None:
    """Minute by minute: whoever looks at each moment that is named misses no change."""
    rules = book(f"quiet_hours: [{{name: n, {hours}, time_zone: Europe/Vienna}}]")
    start = at(night)
    next_look, quiet = start, rules.quiet(case(), start)
    for moment in (start + 60.0 * n for n in range(12 * 60)):
        if moment >= next_look:
            quiet = rules.quiet(case(), moment)
            next_look = rules.changes_at(case(), moment) or moment
        assert rules.quiet(case(), moment) == quiet


def test_the_first_escalation_route_that_fits_counts() -> None:
    rules = book(
        "escalation:\n- {severities: [critical], steps: [{after: 10m, to: a}]}\n"
        "- {wards: [W1], steps: [{after: 30m, to: b}]}"
    )
    assert [s.to for s in rules.escalation(case())] == ["b"]
    assert [s.to for s in rules.escalation(case("W1", Severity.CRITICAL))] == ["a"]
    assert list(rules.escalation(case("W2"))) == []


def test_groups() -> None:
    rules = book("groups: {acute: [deterioration, sepsis]}")
    assert rules.group("sepsis") == "acute"
    assert rules.sharing("sepsis") == ("deterioration", "sepsis")
    assert rules.covers("sepsis") == 0
    assert rules.group("glioma-survival") == "glioma-survival"
    assert rules.sharing("glioma-survival") == ("glioma-survival",)
    assert rules.covers("glioma-survival") == 0


def test_an_acknowledgement_covers_a_group_for_as_long_as_the_policy_says() -> None:
    rules = book("groups: {acute: {risks: [deterioration, sepsis], covers: 30m}}")
    assert rules.sharing("sepsis") == ("deterioration", "sepsis")
    assert rules.covers("deterioration") == 1_800
