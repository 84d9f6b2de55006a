"""The fuzzer's own accounts: they would show a frame that is lost, doubled, or answered wrongly."""

from __future__ import annotations

import pytest

from connectors.fuzz.interpreted import Outcomes
from connectors.fuzz.ledger import Ledger
from connectors.fuzz.mutate import samples
from connectors.fuzz.reference import Expected, Fate, read_stream
from connectors.fuzz.sessions import Ending, session
from connectors.identity import IdentityKey
from connectors.mllp.frames import Frame, Framer

MESSAGE = b"MSH|^~\\&|A|B|||2026||ADT^A01|7|P|2.5.1\rPID|1||42\r"


def framed(*bodies: bytes) -> bytes:
    return b"".join(b"\x0b" + body + b"\x1c\r" for body in bodies)


def answer(code: str, control_id: str) -> bytes:
    return f"MSH|^~\\&|T\rMSA|{code}|{control_id}".encode()


def events(stream: bytes) -> list[Expected]:
    return list(read_stream(stream))


@pytest.mark.parametrize(
    ("stream", "fates", "answers"),
    [
        (framed(MESSAGE), [Fate.WIRE], ("AA",)),
        (framed(b"hello"), [Fate.REFUSED], ("AR",)),
        (framed(b""), [Fate.EMPTY], ("AR",)),
        (framed(MESSAGE)[:-2], [Fate.TRUNCATED], ()),
        (b"junk" + framed(MESSAGE), [Fate.REFUSED, Fate.WIRE], ("AA",)),
        (b"\0\r\n" + framed(MESSAGE) + b"\0", [Fate.WIRE], ("AA",)),
        (b"\x0b" + MESSAGE + b"\x1c" + framed(MESSAGE), [Fate.WIRE] * 2, ("AA", "AA")),
        (framed(MESSAGE + b"x" * 1_000_000), [Fate.OVERSIZED], ("AR",)),
        (framed(MESSAGE.replace(b"ADT^A01", b"ACK")), [Fate.WIRE], ()),
        (framed(MESSAGE.replace(b"2.5.1\r", b"2.5.1|||AL|AL\r")), [Fate.WIRE], ("CA", "AA")),
    ],
)
def test_what_must_become_of_a_stream(
    stream: bytes, fates: list[Fate], answers: tuple[str, ...]
) -> None:
    found = events(stream)
    assert [e.fate for e in found] == fates
    assert tuple(code for e in found if e.framed for code in e.answers) == answers


def test_a_lost_a_doubled_and_an_invented_record_show() -> None:
    ledger = Ledger()
    expected = events(framed(MESSAGE, MESSAGE, b"hello"))
    ledger.expect(expected, certain=True)
    ledger.found(Fate.WIRE, MESSAGE)
    ledger.found(Fate.REFUSED, b"hello")
    assert (ledger.missing().total(), ledger.unexplained().total()) == (1, 0)
    ledger.found(Fate.WIRE, MESSAGE)
    assert (ledger.missing().total(), ledger.unexplained().total()) == (0, 0)
    ledger.found(Fate.WIRE, MESSAGE)
    ledger.found(Fate.WIRE, b"nobody sent this")
    assert ledger.unexplained().total() == 2


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [answer("AR", "7")],
        [answer("AA", "8")],
        [answer("AA", "7"), answer("AA", "7")],
        [b"nonsense"],
    ],
)
def test_a_wrong_answer_shows(answers: list[bytes]) -> None:
    ledger = Ledger()
    assert not ledger.answered("one", events(framed(MESSAGE)), answers)
    assert ledger.fault_count == 1


def test_the_right_answer_is_no_fault() -> None:
    ledger = Ledger()
    assert ledger.answered("one", events(framed(MESSAGE)), [answer("AA", "7")])
    assert ledger.fault_count == 0


def test_of_a_reset_connection_nothing_is_certain() -> None:
    """What it sent may be there or not; the frame in which it broke off is explained."""
    ledger = Ledger()
    stream = framed(MESSAGE, MESSAGE)
    ledger.expect(events(stream), certain=False)
    ledger.found(Fate.TRUNCATED, MESSAGE[:20])
    assert ledger.unexplained().total() == 1
    ledger.explain(stream)
    assert (ledger.missing().total(), ledger.unexplained().total()) == (0, 0)


def test_equal_seeds_send_equal_bytes() -> None:
    corpus = samples()
    assert session(corpus, 3, 5) == session(corpus, 3, 5)
    assert session(corpus, 3, 5).stream != session(corpus, 4, 5).stream


def test_the_reference_and_the_server_cut_frames_alike() -> None:
    """Two readings of one rule that share no code."""
    corpus = samples()
    for number in range(12):
        one = session(corpus, 1, number, 60)
        framer = Framer(1_000_000)
        mine = [e.payload for e in framer.feed(one.stream) + framer.close() if isinstance(e, Frame)]
        whole = [e for e in events(one.stream) if e.framed and e.fate is not Fate.OVERSIZED]
        theirs = [e.kept for e in whole]
        assert [m for m in mine if m] == [t for t in theirs if t], (
            number,
            one.ending is Ending.RESET,
        )


def test_an_exception_of_the_interpreter_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("no")

    monkeypatch.setattr("connectors.fuzz.interpreted.interpret", broken)
    outcomes, kept = Outcomes(), []
    outcomes.take(MESSAGE, IdentityKey(bytes(32)), kept.append)
    assert (outcomes.fault_count, kept) == (1, [MESSAGE])
    assert outcomes.faults[0].startswith("KeyError")
