"""Faults of one run get along with one another."""

from __future__ import annotations

import random
from typing import cast

from tests.chaos.faults import End, Fault, Hands, LaterError, Planned
from tests.chaos.run import play
from tests.chaos.system import System


def test_a_fault_that_needs_what_another_took_away_waits_for_it_and_hinders_nobody() -> None:
    told: list[str] = []

    def take_away(_: Hands) -> End:
        told.append("away")
        return lambda: told.append("back")

    def needs_it(_: Hands) -> End:
        if "back" not in told:
            raise LaterError
        told.append("begun")
        return lambda: told.append("ended")

    hands = Hands(cast(System, None), random.Random(1))
    play(
        [
            Planned(0.0, Fault("takes it away", take_away), 0.05),
            Planned(0.01, Fault("needs it", needs_it), 0.0),
        ],
        hands,
    )
    assert told == ["away", "back", "begun", "ended"]
