"""Slopes and quantiles as the soak and the overload report them; their traffic is read as meant."""

from __future__ import annotations

from connectors.identity import IdentityKey
from connectors.interpret import interpret
from connectors.settings import IdentitySettings, SequencerSettings
from connectors.site import Site
from connectors.wire import WireMessage
from tests.chaos import reference
from tests.chaos.overload import dying, quantiles
from tests.chaos.soak import Hospital, slope
from tests.chaos.system import KEY
from tests.chaos.ward import Message, Ward

NOW = 1_780_000_000.0


def test_a_slope_is_told_by_the_hour_and_of_the_second_half() -> None:
    warming = [(float(minute), 100.0 * minute) for minute in range(10)]
    steady = [(float(minute), 900.0 + 0.5 * minute) for minute in range(10, 20)]
    assert round(slope([*warming, *steady]), 6) == 30.0
    assert slope([(0.0, 5.0)]) == 0.0


def test_quantiles_are_in_milliseconds() -> None:
    assert quantiles([0.001 * n for n in range(1, 101)]) == {
        "p50": 51.0,
        "p99": 100.0,
        "max": 100.0,
    }
    assert quantiles([]) == {}


def outcomes(messages: list[Message]) -> list[str]:
    site = Site(SequencerSettings(), IdentitySettings())
    return [
        read.outcome
        for message in messages
        for read in interpret(
            WireMessage(message.raw, "w/0/0", NOW, "", ""), IdentityKey(KEY), site
        )
    ]


def test_the_traffic_of_both_gives_facts() -> None:
    hospital = Hospital(beds=20)
    before = list(hospital.beds)
    assert outcomes(hospital.messages(30, NOW)) == ["facts"] * 30
    assert outcomes(hospital.exchange(0.1, NOW)) == ["facts"] * 4
    assert len(set(before) - set(hospital.beds)) == 2
    assert outcomes(dying(200_004, NOW)) == ["facts"] * 2


def test_who_comes_in_dying_raises_an_alert() -> None:
    models = reference.models(["news2"])
    for number in range(200_004, 200_052, 6):
        pair = dying(number, NOW)
        ward = Ward(patients={pair[0].patient: number}, messages=pair)
        assert reference.undisturbed(ward, IdentityKey(KEY), models, 4, NOW).alerts
