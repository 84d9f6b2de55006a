"""Who is told: files good and bad, the tree, and what holds for every tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import AlertReason, AlertState, Severity
from streams.delivery.routing import (
    Labels,
    Routing,
    RoutingError,
    Told,
    everyone,
    is_call,
    load,
    parse,
    parse_matcher,
    who,
)
from streams.policy import document
from streams.policy.document import PolicyError
from tests.unit.sinks.alerts import alert, ended

HERE = Path(__file__).parent
GOOD = sorted((HERE / "routing_good").glob("*.yaml"))
BAD = sorted((HERE / "routing_bad").glob("*.yaml"))


def names(routing: Routing, **changes: Any) -> list[str]:
    """Of the receivers that are told."""
    return [told.receiver for told in who(routing, alert(**changes))]


@pytest.mark.parametrize("file", GOOD, ids=lambda f: f.stem)
def test_good_files_are_taken(file: Path) -> None:
    """And decide for any alert."""
    routing = load(file)
    who(routing, alert())
    who(routing, ended())


@pytest.mark.parametrize("file", BAD, ids=lambda f: f.stem)
def test_bad_files_are_refused_with_the_place_and_the_reason(file: Path) -> None:
    """The first line says what is to be said."""
    expected = file.read_text().splitlines()[0].removeprefix("# error: ")
    with pytest.raises(RoutingError) as caught:
        load(file)
    assert expected in str(caught.value)
    assert str(file) in str(caught.value)


def test_no_pattern_takes_long_whatever_the_ward_is_called() -> None:
    """One that tries each way to split the letters would need longer than the world is old."""
    test = parse_matcher('ward=~"(a+)+$"')
    assert not test.matches(Labels.of(alert(ward="a" * 200 + "!")))
    assert test.matches(Labels.of(alert(ward="a" * 200)))


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(RoutingError, match=r"nothing\.yaml cannot be read"):
        load(tmp_path / "nothing.yaml")


def test_the_tree_decides_as_alertmanagers_does() -> None:
    """First match wins, `continue` goes on, no match below tells the route's own receiver."""
    routing = load(HERE / "routing_good" / "ward.yaml")
    assert names(routing, ward="7") == ["chart"]
    assert names(routing, ward="ICU") == ["chart", "rapid-response"]
    assert names(routing, ward="ICU-2") == ["chart"]
    assert names(routing, ward="ICU", severity=Severity.WARNING) == ["chart"]
    assert names(routing, ward="ICU", risk="glioma-survival") == ["chart", "ward-phones"]
    assert names(routing, ward="ICU", state=AlertState.ESCALATED) == ["chart", "duty-doctor"]


def test_a_route_inherits_what_it_does_not_say() -> None:
    """Receiver, grouping, reminders."""
    routing = load(HERE / "routing_good" / "ward.yaml")
    chart, rapid = who(routing, alert(ward="CCU"))
    assert chart == Told("chart", (0,))
    assert rapid == Told("rapid-response", (2, 0), ("patient",), 5.0, 0.0)
    (_, doctor) = who(routing, alert(state=AlertState.ESCALATED))
    assert doctor.repeat_s == 600


def test_a_comment_is_nobodys_business_and_the_end_of_a_call_is() -> None:
    """As the contract of alerts says: calls, and the end of what ever called."""
    routing = everyone(["a"])
    assert names(routing, calls=False, state=AlertState.ACKNOWLEDGED) == []
    assert names(routing, calls=False, called=1, state=AlertState.RESOLVED) == ["a"]
    assert names(routing, calls=False, called=0, state=AlertState.RESOLVED) == []
    asking = parse(
        {
            "receivers": [{"name": "a"}],
            "route": {"receiver": "a", "routes": [{"matchers": ["state=acknowledged"]}]},
        },
        "test",
    )
    assert names(asking, calls=False, state=AlertState.ACKNOWLEDGED) == ["a"]


def test_whoever_is_escalated_to_is_a_label() -> None:
    """So that a route reaches them."""
    routing = parse(
        {
            "receivers": [{"name": "ward"}, {"name": "registrar"}],
            "route": {
                "receiver": "ward",
                "routes": [{"receiver": "registrar", "matchers": ['escalated_to="registrar"']}],
            },
        },
        "test",
    )
    assert names(routing, state=AlertState.ESCALATED, escalated_to="registrar") == ["registrar"]


def test_an_alert_that_is_being_confirmed_is_nobodys_business() -> None:
    """Unless a matcher asks for it; saying what a state is not is no such question."""
    routing = load(HERE / "routing_good" / "pending.yaml")
    assert names(routing, state=AlertState.PENDING) == ["research"]
    assert names(routing) == ["research", "phones"]
    assert names(everyone(["a", "b"]), state=AlertState.PENDING) == []


def test_without_a_file_everyone_is_told_of_everything() -> None:
    """And nobody where there is nobody."""
    assert names(everyone(["a", "b"])) == ["a", "b"]
    assert names(everyone([])) == []


@pytest.mark.parametrize(
    ("matcher", "ward", "fits"),
    [
        ('ward="ICU"', "ICU", True),
        ("ward=ICU", "ICU2", False),
        ('ward=~"ICU"', "ICU2", False),
        ('ward=~"ICU.*"', "ICU2", True),
        ('ward!="ICU"', "ICU", False),
        ('ward!~"ICU|CCU"', "7", True),
        ('ward=""', "", True),
        ('ward="a.c"', "abc", False),
    ],
)
def test_a_matcher_is_about_the_whole_value(matcher: str, ward: str, fits: bool) -> None:
    """Regular expressions are anchored, as Prometheus's are; other values are literal."""
    routing = {
        "receivers": [{"name": "a"}, {"name": "b"}],
        "route": {"receiver": "a", "routes": [{"receiver": "b", "matchers": [matcher]}]},
    }
    assert names(parse(routing, "test"), ward=ward) == (["b"] if fits else ["a"])


@pytest.mark.parametrize("text", ["", "ward", "ward=a b", 'ward="a', "x=1", "ward=~[", "w" * 301])
def test_a_bad_matcher_says_so(text: str) -> None:
    """As a `ValueError`."""
    with pytest.raises(ValueError, match=r"matcher|label|missing|most"):
        parse_matcher(text)


RECEIVERS = ("a", "b", "c")
matchers = st.sampled_from(
    ['ward="ICU"', 'ward=~"I.*"', 'risk!="sepsis"', "severity=critical", 'state=~"fir.*|pen.*"']
)
routes = st.recursive(
    st.builds(
        lambda receiver, matchers, go_on: {
            "receiver": receiver,
            "matchers": matchers,
            "continue": go_on,
        },
        st.none() | st.sampled_from(RECEIVERS),
        st.lists(matchers, max_size=2),
        st.booleans(),
    ),
    lambda children: st.builds(
        lambda receiver, matchers, go_on, below: {
            "receiver": receiver,
            "matchers": matchers,
            "continue": go_on,
            "routes": below,
        },
        st.none() | st.sampled_from(RECEIVERS),
        st.lists(matchers, max_size=2),
        st.booleans(),
        st.lists(children, max_size=3),
    ),
    max_leaves=12,
)
trees = st.builds(
    lambda receiver, below: {
        "receivers": [{"name": n} for n in RECEIVERS],
        "route": {"receiver": receiver, "routes": below},
    },
    st.sampled_from(RECEIVERS),
    st.lists(routes, max_size=4),
)
alerts = st.builds(
    alert,
    ward=st.sampled_from(["ICU", "IMC", "7", ""]),
    risk=st.sampled_from(["sepsis", "deterioration"]),
    severity=st.sampled_from(Severity),
    state=st.sampled_from(AlertState),
    reason=st.sampled_from(AlertReason),
    calls=st.booleans(),
    called=st.integers(0, 2),
)


@settings(max_examples=200)
@given(trees, alerts)
def test_every_tree_decides_for_every_alert_and_always_alike(tree: Any, one: Any) -> None:
    """Total, deterministic, nobody twice, and somebody unless it is only being confirmed."""
    routing = parse(tree, "test")
    told = who(routing, one)
    assert told == who(parse(tree, "test"), one)
    receivers = [t.receiver for t in told]
    assert len(receivers) == len(set(receivers))
    assert set(receivers) <= set(RECEIVERS)
    assert told or not is_call(one)


@given(trees)
def test_a_routing_is_a_section_of_the_policy(tree: Any) -> None:
    """It means the same there as in a file of its own."""
    policy = document.read(yaml.safe_dump({"routing": tree}))
    assert policy.routing == parse(tree, "test")


def test_a_routing_that_cannot_be_used_makes_the_policy_unusable() -> None:
    """With the place, as any other part."""
    with pytest.raises(PolicyError, match=r"routing.*names receivers that `receivers` does not: b"):
        document.read("routing: {receivers: [{name: a}], route: {receiver: b}}")
