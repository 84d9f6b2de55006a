"""Frames out of bytes, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mllp.frames import (
    HEAD_BYTES,
    STRAY_BYTES,
    Event,
    Frame,
    Framer,
    Violation,
    wrap,
)
from connectors.quarantine import Reason

# Streams made of what matters, so that ends, starts and halves of ends meet often.
PIECES = st.sampled_from(
    [b"\x0b", b"\x1c", b"\r", b"\x1c\r", b"\x0bA\x1c\r", b"A", b"MSH|", b"\n", b"\x00", b" "]
)
STREAMS = st.lists(PIECES, max_size=40).map(b"".join)


def feed_whole(stream: bytes, max_bytes: int) -> list[Event]:
    framer = Framer(max_bytes)
    return framer.feed(stream) + framer.close()


def feed_cut(stream: bytes, cuts: list[int], max_bytes: int) -> list[Event]:
    framer = Framer(max_bytes)
    bounds = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    events = [event for a, b in pairwise(bounds) for event in framer.feed(stream[a:b])]
    return events + framer.close()


@given(STREAMS, st.lists(st.integers(0, 200), max_size=20), st.sampled_from([1, 3, 7, 1000]))
def test_any_split_gives_the_same_events(stream: bytes, cuts: list[int], max_bytes: int) -> None:
    assert feed_cut(stream, cuts, max_bytes) == feed_whole(stream, max_bytes)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=20))
def test_any_split_of_random_bytes_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    assert feed_cut(stream, cuts, 50) == feed_whole(stream, 50)


@given(STREAMS, st.sampled_from([1, 3, 7, 1000]))
def test_byte_by_byte_is_a_split_like_any_other(stream: bytes, max_bytes: int) -> None:
    assert feed_cut(stream, list(range(len(stream))), max_bytes) == feed_whole(stream, max_bytes)


# What a frame may hold without touching its own delimiters.
PAYLOADS = st.binary(min_size=1, max_size=60).filter(
    lambda b: b"\x0b" not in b and b"\x1c\r" not in b and not b.endswith(b"\x1c")
)


@given(st.lists(PAYLOADS), st.lists(st.integers(0, 500), max_size=10))
def test_what_was_wrapped_comes_out(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"\n".join(map(wrap, payloads))
    assert feed_cut(stream, cuts, 1000) == [Frame(p) for p in payloads]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(b"\x0bA\x1c\r\r\n \x00\t\x0bB\x1c\r", [Frame(b"A"), Frame(b"B")], id="noise"),
        pytest.param(b"\x0b\x1c\r", [Violation(Reason.EMPTY_FRAME, b"", 0)], id="empty"),
        pytest.param(b"\x0bA\x1cB\x1c\r", [Frame(b"A\x1cB")], id="0x1C within"),
        pytest.param(b"\x0bA\x1c\x1c\r", [Frame(b"A\x1c")], id="two 0x1C at the end"),
        pytest.param(b"\x0bA\x1c\x0bB\x1c\r", [Frame(b"A"), Frame(b"B")], id="no 0x0D at the end"),
        pytest.param(
            b"\x0bAB\x0bC\x1c\r",
            [Violation(Reason.TRUNCATED, b"AB", 2), Frame(b"C")],
            id="start within a frame",
        ),
        pytest.param(
            b"\x0bA\x1c\r\x1c\rGET /\x0bB\x1c\r",
            [Frame(b"A"), Violation(Reason.NOT_HL7, b"\x1c\rGET /", 7), Frame(b"B")],
            id="stray",
        ),
        pytest.param(b"\x0bA", [Violation(Reason.TRUNCATED, b"A", 1)], id="cut off"),
        pytest.param(b"\x0bA\x1c", [Violation(Reason.TRUNCATED, b"A\x1c", 2)], id="cut in the end"),
        pytest.param(b"\x0b", [], id="a lone start is noise"),
        pytest.param(b"\x0b\x0b\x0bA\x1c\r", [Frame(b"A")], id="repeated start"),
    ],
)
def test_events_of_a_stream(stream: bytes, expected: list[Event]) -> None:
    assert feed_whole(stream, 1000) == expected


def test_an_oversized_frame_keeps_its_head_and_its_size() -> None:
    body = b"MSH|" + b"x" * 300_000
    framer = Framer(100_000)
    events: list[Event] = []
    for at in range(0, len(body) + 3, 1000):
        events += framer.feed(wrap(body)[at : at + 1000])
    assert events == [Violation(Reason.OVERSIZED, body[:HEAD_BYTES], len(body))]
    assert framer.feed(wrap(b"next")) == [Frame(b"next")]


def test_a_frame_of_just_the_limit_is_kept() -> None:
    assert feed_whole(wrap(b"x" * 10), 10) == [Frame(b"x" * 10)]
    assert feed_whole(wrap(b"x" * 11), 10) == [Violation(Reason.OVERSIZED, b"x" * 10, 11)]


def test_stray_bytes_without_end_are_counted_and_not_kept() -> None:
    framer = Framer(1000)
    for _ in range(100):
        assert framer.feed(b"y" * 1000) == []
    assert framer.close() == [Violation(Reason.NOT_HL7, b"y" * STRAY_BYTES, 100_000)]


@pytest.mark.parametrize("piece", [b"\x0b", b"\x1c", b"\x0b\x1c", b"\x0b\x1c\r", b"\x0bA"])
@pytest.mark.timeout(120)
def test_hostile_repetition_costs_no_more_than_its_length(piece: bytes) -> None:
    """Quadratic searching would take minutes for this."""
    framer = Framer(1_000_000)
    framer.feed(b"\x0b")
    for _ in range(2):
        framer.feed(piece * (256_000 // len(piece)))
    assert framer.feed(b"\x0bnext\x1c\r")[-1] == Frame(b"next")
