"""The traffic of a benchmark: a simulated hospital's, with orders in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from connectors.replay.timed import Timed
from connectors.simulator.hospital import Hospital

_ORDER_EVERY = 20  # reports


class Traffic(NamedTuple):
    """Messages by hospital time: the history of the first patients, then what follows."""

    history: list[Timed]
    live: list[Timed]


def make(patients: int, live: int, start: float, seed: int = 1) -> Traffic:
    """The same messages for the same arguments; `start` is the hospital time of the first live one.

    Vital signs, laboratory, movements, images and genes of tumour patients as the simulator sends
    them, 2 % of the reports late, doubled, corrected or deleted, and an order for every 20 reports.
    """
    messages = _with_orders(Hospital(seed, start, patients).messages())
    history: list[Timed] = []
    for message in messages:
        if message.time >= start:
            return Traffic(history, [message, *islice(messages, live - 1)])
        history.append(message)
    raise AssertionError("a hospital never ends")


def _with_orders(messages: Iterable[Timed]) -> Iterator[Timed]:
    reports = 0
    for message in messages:
        order = _order(message.raw, reports)
        if order is not None:
            reports += 1
            if reports % _ORDER_EVERY == 0:
                yield message._replace(raw=order)
        yield message


def _order(raw: bytes, number: int) -> bytes | None:
    """ORM^O01 for the same patient and stay; None for what is no whole report."""
    segments = raw.split(b"\r")
    kinds = [segment[:3] for segment in segments[:4]]
    if kinds != [b"MSH", b"PID", b"PV1", b"OBR"]:
        return None
    msh = segments[0].split(b"|")
    msh[8], msh[9] = b"ORM^O01^ORM_O01", b"ORD%d" % number
    ordered = b"ORC|NW|P%d^WARD" % number
    obr = b"|".join([b"OBR", b"1", b"P%d^WARD" % number, b"", *segments[3].split(b"|")[4:5]])
    return b"\r".join([b"|".join(msh), segments[1], segments[2], ordered, obr, b""])
