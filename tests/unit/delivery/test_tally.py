"""What the page of deliveries counts: told in the last day, and what waits at all processes."""

from __future__ import annotations

from connectors.clock import iso
from connectors.sinks.deliveries import Outcome
from streams.delivery.standing import Standing, added_up
from streams.delivery.tally import Tally, Told
from tests.unit.delivery.test_dead_letters import step
from tests.unit.journal import NOW


def test_a_day_is_counted_by_receiver() -> None:
    """Dead letters are not told; what is older than a day is forgotten, who it was for is not."""
    tally = Tally()
    for id_, receiver, outcome, ago in (
        ("a", "pager", Outcome.DELIVERED, 60),
        ("b", "pager", Outcome.DELIVERED, 7_200),
        ("c", "pager", Outcome.SUPERSEDED, 60),
        ("d", "pager", Outcome.DEAD, 60),
        ("e", "chart", Outcome.DELIVERED, 90_000),
        ("f", "mail", Outcome.SUPERSEDED, 60),
    ):
        tally.add(step(id_, outcome, receiver=receiver, at=iso(NOW - ago)))
    assert tally.read(NOW) == {
        "chart": Told(0, 0, NOW - 90_000),
        "mail": Told(0, 1, 0.0),
        "pager": Told(2, 1, NOW - 60),
    }
    assert tally.read(NOW + 86_400)["pager"] == Told(0, 0, NOW - 60)


def test_queues_of_several_processes_are_one_to_the_reader() -> None:
    """Added up by receiver: the oldest of all, and paused where any has paused."""
    found = added_up(
        [
            Standing("pager", 2, 50.0),
            Standing("chart"),
            Standing("pager", 1, 40.0, paused=True),
            Standing("chart", 1, 60.0),
        ]
    )
    assert found == [Standing("chart", 1, 60.0), Standing("pager", 3, 40.0, paused=True)]
