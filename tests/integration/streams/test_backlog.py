"""What waits to be scored, told and read on a real Redis."""

from __future__ import annotations

import pytest
from redis import Redis

from connectors.backlog import Backlog, read, tell

pytestmark = pytest.mark.redis


def test_each_sequencer_has_a_line_of_which_the_newest_is_read(redis: Redis) -> None:
    assert read(redis) == {}
    first = Backlog(number=1, messages=10, rate=2_000.5, standing=False)
    second = Backlog(number=2, messages=0, rate=1_990.0, standing=True)
    tell(redis, "wire/0", first)
    tell(redis, "wire/2", first)
    tell(redis, "wire/0", second)
    assert read(redis) == {"wire/0": second, "wire/2": first}
