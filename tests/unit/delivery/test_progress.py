"""What may be committed, whatever the order in which things end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.progress import Progress

PLACE = ("t", 0)


def test_everything_before_the_oldest_open_record_may_be_committed() -> None:
    """Records that nothing follows from included."""
    p = Progress()
    p.begin(PLACE, 5, 0)
    p.begin(PLACE, 6, 2)
    p.begin(PLACE, 7, 1)
    assert p.committable() == {PLACE: 6}
    p.finish(PLACE, 7)
    p.finish(PLACE, 6)
    assert p.committable() == {}
    p.finish(PLACE, 6)
    assert p.committable() == {PLACE: 8}


def test_what_was_forgotten_cannot_be_finished() -> None:
    """The partition may be with somebody else by now."""
    p = Progress()
    p.begin(PLACE, 1, 1)
    p.forget()
    p.finish(PLACE, 1)
    assert p.committable() == {}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_nothing_open_is_ever_committed(parts: list[int], random: object) -> None:
    """For any numbers of parts, finished in any order."""
    p = Progress()
    open_ = []
    for offset, count in enumerate(parts):
        p.begin(PLACE, offset, count)
        open_ += [offset] * count
    random.shuffle(open_)  # type: ignore[attr-defined]
    committed = p.committable().get(PLACE, 0)
    while open_:
        assert committed == min(open_)
        p.finish(PLACE, open_.pop())
        committed = p.committable().get(PLACE, committed)
    assert committed == len(parts)
