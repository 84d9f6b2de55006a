"""Places in the log, as the ids of events write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import topics
from streams.console.ports import PlaceError
from streams.event_log import parse, written

PLACES = st.dictionaries(
    st.tuples(st.sampled_from([topics.ALERTS, topics.SCORES]), st.integers(0, 511)),
    st.integers(0, 10**15),
    max_size=20,
)


@given(PLACES)
def test_a_place_is_read_as_it_was_written(place: dict[tuple[str, int], int]) -> None:
    """The empty one too: it means from now on."""
    assert parse(written(place)) == place


@pytest.mark.parametrize("text", ["a", "a0", "a0.", "x0.1", "a0.1-", "a0.1\n", "a-1.5", " "])
def test_other_text_is_no_place(text: str) -> None:
    """It is refused at once, before anything is read."""
    with pytest.raises(PlaceError):
        parse(text)
