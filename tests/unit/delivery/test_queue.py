"""Telling, as timelines on virtual time: order, retries, breaker, dead letters, restarts."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import contract, topics
from connectors.contract import AlertReason, AlertState
from connectors.sinks import deliveries
from connectors.sinks.deliveries import DeadReason, Outcome
from connectors.sinks.notice import RefusedError, UnavailableError
from streams.delivery.routing import parse
from tests.unit.delivery.fakes import Desk, FakeSink, receiver, routes
from tests.unit.delivery.virtual import now, run
from tests.unit.sinks.alerts import ALERT_ID, alert, ended, withdrawn

raw = contract.encode


def other(n: int = 1, **changes: Any) -> bytes:
    """An alert of another patient."""
    return raw(alert(alert_id=f"{n:024x}", patient=f"p-{n}", **changes))


def test_each_receiver_is_told_each_revision_once_and_in_order() -> None:
    """And the log may be committed when all are."""

    async def timeline() -> None:
        desk = Desk(routes("a", "b"))
        for one in (alert(), alert(revision=2, state=AlertState.ACKNOWLEDGED), ended(3)):
            await desk.take(raw(one))
        assert desk.dispatcher.progress.committable() == {(topics.ALERTS, 0): 0}
        await desk.settle()
        for name in "ab":
            assert desk.sinks[name].revisions == [(ALERT_ID, r) for r in (1, 2, 3)]
            assert desk.writer.outcomes(name) == [(r, Outcome.DELIVERED) for r in (1, 2, 3)]
        assert desk.dispatcher.progress.committable() == {(topics.ALERTS, 0): 3}

    run(timeline())


def test_a_repeated_record_tells_nobody_twice() -> None:
    """The log is read again from the last commit after a crash."""

    async def timeline() -> None:
        desk = Desk(routes("a"))
        for _ in range(2):
            await desk.take(raw(alert()))
        await desk.settle()
        again = desk.restarted()
        for one in (alert(), ended(2)):
            await again.take(raw(one))
        await again.settle()
        assert desk.sinks["a"].revisions == [(ALERT_ID, 1), (ALERT_ID, 2)]
        assert again.dispatcher.progress.committable() == {(topics.ALERTS, 0): 2}

    run(timeline())


def test_one_slow_receiver_never_delays_another() -> None:
    """A hundred seconds for each notice at one, no time at all at the other."""

    async def timeline() -> None:
        desk = Desk(routes("slow", "quick"))
        desk.sinks["slow"].takes_s = 100.0
        for n in range(20):
            await desk.take(other(n))
        await desk.queues["quick"].settle(1_000)
        assert len(desk.sinks["quick"].got) == 20
        assert max(desk.sinks["quick"].at) < 1
        await desk.settle()
        assert len(desk.sinks["slow"].got) == 20
        assert now() == pytest.approx(500)  # four at a time

    run(timeline())


def test_one_dead_receiver_never_delays_another_nor_holds_the_reader() -> None:
    """While it is down, everything else goes on; when it is back, it is told all, in order."""

    async def timeline() -> None:
        desk = Desk(routes("dead", "alive"))
        desk.sinks["dead"].down = True
        for revision in range(1, 6):
            await desk.take(raw(alert(revision=revision)))
        await desk.queues["alive"].settle(10)
        assert len(desk.sinks["alive"].got) == 5
        await asyncio.sleep(600)
        assert desk.dispatcher.progress.committable() == {(topics.ALERTS, 0): 0}
        desk.sinks["dead"].down = False
        await desk.settle()
        assert [r for _, r in desk.sinks["dead"].revisions] == [1, 2, 3, 4, 5]

    run(timeline())


def test_an_alert_that_is_not_digested_holds_up_no_other() -> None:
    """It has a lane of its own."""

    class Picky(FakeSink):
        async def send(self, notice: Any) -> None:
            if notice.alerts[0].alert_id == ALERT_ID:
                raise UnavailableError("answered 500")
            await super().send(notice)

    async def timeline() -> None:
        desk = Desk(routes("a"), sinks={"a": Picky()})
        await desk.take(raw(alert()))
        for n in range(10):
            await desk.take(other(n))
        await asyncio.sleep(2)
        assert len(desk.sinks["a"].got) == 10
        await desk.queues["a"].drop()

    run(timeline())


def test_attempts_come_less_and_less_often() -> None:
    """Until the breaker gives the receiver a rest."""

    async def timeline() -> None:
        desk = Desk(routes("a"), {"a": receiver(breaker_failures=4, breaker_pause_s=300)})
        desk.sinks["a"].down = True
        await desk.take(raw(alert()))
        await asyncio.sleep(60)
        assert desk.sinks["a"].tried == 4
        await asyncio.sleep(300)
        assert desk.sinks["a"].tried == 5  # one attempt to find out
        desk.sinks["a"].down = False
        await desk.settle()
        assert desk.sinks["a"].tried == 6

    run(timeline())


def test_a_receiver_may_say_when_to_come_back() -> None:
    """Retry-After."""

    async def timeline() -> None:
        desk = Desk(routes("a"))
        desk.sinks["a"].answers = [UnavailableError("answered 429", 77.0)]
        await desk.take(raw(alert()))
        await desk.settle()
        assert desk.sinks["a"].at[0] == pytest.approx(77, abs=2)

    run(timeline())


def test_what_is_refused_is_a_dead_letter_at_once() -> None:
    """And the alert's next revision is told all the same."""

    async def timeline() -> None:
        desk = Desk(routes("a"))
        desk.sinks["a"].answers = [RefusedError("answered 400")]
        await desk.take(raw(alert()))
        await desk.take(raw(ended(2)))
        await desk.settle()
        assert desk.writer.outcomes("a") == [(1, Outcome.DEAD), (2, Outcome.DELIVERED)]
        dead = desk.writer.deliveries[0]
        assert (dead.reason, dead.detail) == (DeadReason.REFUSED, "answered 400")
        assert dead.alert == alert()
        assert desk.dispatcher.progress.committable() == {(topics.ALERTS, 0): 2}

    run(timeline())


def test_what_cannot_be_told_for_too_long_is_a_dead_letter() -> None:
    """After `give_up_after_s`."""

    async def timeline() -> None:
        desk = Desk(routes("a"), {"a": receiver(give_up_after_s=900)})
        desk.sinks["a"].down = True
        await desk.take(raw(alert()))
        await desk.settle()
        (dead,) = desk.writer.deliveries
        assert dead.reason == DeadReason.GAVE_UP
        assert 900 <= now() < 1_000
        assert dead.attempts > 5

    run(timeline())


def test_an_error_of_our_own_is_a_dead_letter_and_stops_nothing() -> None:
    """A bug in one format must not keep other alerts back."""

    async def timeline() -> None:
        desk = Desk(routes("a"))
        desk.sinks["a"].answers = [ZeroDivisionError("patient 4711")]
        await desk.take(raw(alert()))
        await desk.take(other())
        await desk.settle()
        (dead,) = [d for d in desk.writer.deliveries if d.outcome is Outcome.DEAD]
        assert dead.reason == DeadReason.FAILED
        assert "4711" not in dead.detail
        assert len(desk.sinks["a"].got) == 1

    run(timeline())


def test_a_full_queue_gives_up_its_oldest() -> None:
    """Memory is bounded, and the newest alert is not the one that suffers."""

    async def timeline() -> None:
        desk = Desk(routes("a"), {"a": receiver(queue=5, parallel=1)})
        desk.sinks["a"].takes_s = 10.0
        for n in range(8):
            await desk.take(other(n))
            await asyncio.sleep(0.1)
        await desk.settle()
        dead = [d for d in desk.writer.deliveries if d.outcome is Outcome.DEAD]
        assert {d.reason for d in dead} == {DeadReason.QUEUE_FULL}
        assert len(dead) + len(desk.sinks["a"].got) == 8
        assert f"{7:024x}" in {a for a, _ in desk.sinks["a"].revisions}
        assert desk.dispatcher.progress.committable() == {(topics.ALERTS, 0): 8}

    run(timeline())


@pytest.mark.parametrize(("only_newest", "told"), [(True, [1, 4]), (False, [1, 2, 3, 4])])
def test_revisions_are_skipped_only_where_the_sink_says_so(
    only_newest: bool, told: list[int]
) -> None:
    """For what holds the present state, the past is no news."""

    async def timeline() -> None:
        desk = Desk(routes("a"), {"a": receiver(only_newest=only_newest)})
        desk.sinks["a"].takes_s = 5.0
        for revision in (1, 2, 3, 4):
            await desk.take(raw(alert(revision=revision)))
            await asyncio.sleep(0.1)
        await desk.settle()
        assert [r for _, r in desk.sinks["a"].revisions] == told
        skipped = [(r, Outcome.SUPERSEDED) for r in (2, 3)] if only_newest else []
        assert [o for o in desk.writer.outcomes("a") if o[1] is Outcome.SUPERSEDED] == skipped

    run(timeline())


def test_whoever_was_told_is_told_of_the_end_wherever_the_patient_is_by_then() -> None:
    """The route names the ICU's phone no more; it is told of the withdrawal all the same."""

    async def timeline() -> None:
        matched = parse(
            {
                "receivers": [{"name": "ward"}, {"name": "icu"}],
                "route": {
                    "receiver": "ward",
                    "routes": [{"receiver": "icu", "matchers": ["ward=ICU"]}],
                },
            },
            "test",
        )
        desk = Desk(matched)
        await desk.take(raw(alert()))
        await desk.take(raw(withdrawn(2, ward="7")))
        await desk.settle()
        assert desk.sinks["icu"].revisions == [(ALERT_ID, 1), (ALERT_ID, 2)]
        assert desk.sinks["ward"].revisions == [(ALERT_ID, 2)]

    run(timeline())


def test_what_calls_nobody_is_told_to_those_who_know_the_alert_and_want_updates() -> None:
    """An acknowledgement: the chart wants it, the mailbox does not."""

    async def timeline() -> None:
        desk = Desk(routes("chart", "mail"), {"mail": receiver(updates=False)})
        await desk.take(raw(alert()))
        acknowledged = alert(
            revision=2,
            state=AlertState.ACKNOWLEDGED,
            reason=AlertReason.ACKNOWLEDGED,
            calls=False,
            called=1,
        )
        await desk.take(raw(acknowledged))
        await desk.take(other(state=AlertState.PENDING, calls=False))
        await desk.take(raw(ended(3, calls=False, called=1)))
        await desk.settle()
        assert [r for _, r in desk.sinks["chart"].revisions] == [1, 2, 3]
        assert [r for _, r in desk.sinks["mail"].revisions] == [1, 3]

    run(timeline())


def test_whoever_was_told_of_a_call_is_told_of_what_joins_it() -> None:
    """Mail too, which wants no updates: it is another risk, acknowledged or not."""

    async def timeline() -> None:
        desk = Desk(routes("chart", "mail"), {"mail": receiver(updates=False)})
        await desk.take(raw(alert()))
        joined = {"calls": False, "called": 1, "joined": ALERT_ID}
        for n, state, reason in (
            (1, AlertState.FIRING, AlertReason.JOINED),
            (2, AlertState.ACKNOWLEDGED, AlertReason.COVERED),
        ):
            await desk.take(other(n, state=state, reason=reason, **joined))
        await desk.take(raw(ended(2, alert_id=f"{1:024x}", calls=True, called=1)))
        await desk.settle()
        second, third = (f"{n:024x}" for n in (1, 2))
        assert {a for a, _ in desk.sinks["chart"].revisions} == {ALERT_ID, second, third}
        mailed = desk.sinks["mail"].revisions
        assert sorted(mailed) == sorted([(ALERT_ID, 1), (second, 1), (second, 2), (third, 1)])

    run(timeline())


def test_alerts_of_one_patient_are_told_together_when_the_route_says_so() -> None:
    """Those that come within `group_wait`; others have notices of their own."""

    async def timeline() -> None:
        desk = Desk(routes("a", group_by=["patient"], group_wait="5s"))
        await desk.take(raw(alert()))
        await desk.take(raw(alert(alert_id="b" * 24, risk="sepsis")))
        await desk.take(other())
        await asyncio.sleep(6)
        sizes = sorted(len(n.alerts) for n in desk.sinks["a"].got)
        assert sizes == [1, 2]
        await desk.take(raw(ended(2)))
        await desk.settle()
        assert len(desk.sinks["a"].got) == 3

    run(timeline())


def test_what_nobody_takes_is_told_again_until_somebody_does() -> None:
    """Every ten minutes; an acknowledgement ends it."""

    async def timeline() -> None:
        desk = Desk(routes("a", repeat="10m"))
        await desk.take(raw(alert()))

        async def house(until: float) -> None:
            while now() < until:
                await asyncio.sleep(1)
                await desk.dispatcher.remind()

        await house(1_300)
        assert [n.repeat for n in desk.sinks["a"].got] == [0, 1, 2]
        assert desk.sinks["a"].at == pytest.approx([0, 600, 1_200], abs=3)
        acknowledged = alert(revision=2, state=AlertState.ACKNOWLEDGED, calls=False, called=1)
        await desk.take(raw(acknowledged))
        await house(3_000)
        assert [n.repeat for n in desk.sinks["a"].got] == [0, 1, 2, 0]
        assert len({n.key for n in desk.sinks["a"].got}) == 4

    run(timeline())


def test_a_dead_letter_is_told_when_somebody_asks_for_it() -> None:
    """And not when a newer revision has been told meanwhile."""

    async def timeline() -> None:
        desk = Desk(routes("a"))
        desk.sinks["a"].answers = [RefusedError("answered 400")]
        await desk.take(raw(alert()))
        await desk.settle()
        (dead,) = desk.writer.deliveries
        retry = deliveries.encode(msgspec.structs.replace(dead, outcome=Outcome.RETRIED))
        await desk.take(retry, topics.DELIVERIES)
        await desk.settle()
        assert desk.writer.outcomes("a")[-1] == (1, Outcome.DELIVERED)
        await desk.take(raw(ended(2)))
        await desk.settle()
        await desk.take(retry, topics.DELIVERIES)
        await desk.settle()
        assert desk.writer.outcomes("a")[-1] == (1, Outcome.SUPERSEDED)
        assert [r for _, r in desk.sinks["a"].revisions] == [1, 2]

    run(timeline())


@pytest.mark.parametrize("topic", [topics.ALERTS, topics.DELIVERIES])
@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"alert_id": 3}', b"\xff\x00"])
def test_a_record_that_is_none_goes_to_quarantine(topic: str, value: bytes) -> None:
    """With its place, and the next one is read."""

    async def timeline() -> None:
        desk = Desk(routes("a"))
        await desk.take(value, topic)
        await desk.take(raw(alert()))
        await desk.settle()
        (item,) = desk.writer.records[topics.QUARANTINE]
        quarantined = contract.decode_quarantined(item)
        assert quarantined.reason == "bad_alert"
        assert quarantined.wire == f"{topic}/0/0"
        assert len(desk.sinks["a"].got) == 1

    run(timeline())


def test_a_receiver_that_the_settings_do_not_know_is_a_dead_letter() -> None:
    """Nothing is silently lost because two files disagree."""

    async def timeline() -> None:
        desk = Desk(routes("a", "ghost"))
        del desk.queues["ghost"]
        await desk.take(raw(alert()))
        await desk.settle()
        (dead,) = [d for d in desk.writer.deliveries if d.outcome is Outcome.DEAD]
        assert (dead.receiver, dead.reason) == ("ghost", DeadReason.UNKNOWN_RECEIVER)
        assert desk.dispatcher.progress.committable() == {(topics.ALERTS, 0): 1}

    run(timeline())


def test_dropping_breaks_off_and_a_successor_tells_what_was_left() -> None:
    """As at a rebalance: nothing is committed that was not told."""

    async def timeline() -> None:
        desk = Desk(routes("a"))
        desk.sinks["a"].takes_s = 50.0
        for n in range(3):
            await desk.take(other(n))
        await asyncio.sleep(1)
        await desk.queues["a"].drop()
        assert desk.dispatcher.progress.committable() == {(topics.ALERTS, 0): 0}
        again = desk.restarted()
        for n in range(3):
            await again.take(other(n))
        await again.settle()
        assert len(desk.sinks["a"].got) == 3

    run(timeline())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["ok", "down", "refused", "crash"])),
        min_size=1,
        max_size=15,
    ),
    st.booleans(),
)
def test_whatever_happens_nobody_hears_a_revision_twice_or_backwards(
    events: list[tuple[int, str]], only_newest: bool
) -> None:
    """Any mixture of alerts, failures, refusals and restarts that read the whole log again."""

    async def timeline() -> None:
        desk = Desk(routes("a"), {"a": receiver(only_newest=only_newest, give_up_after_s=60)})
        written: list[bytes] = []
        revision = [0, 0, 0]
        for which, event in events:
            revision[which] += 1
            written.append(other(which, revision=revision[which]))
            if event == "down":
                desk.sinks["a"].answers.append(UnavailableError("down"))
            elif event == "refused":
                desk.sinks["a"].answers.append(RefusedError("no"))
            await desk.take(written[-1])
            await asyncio.sleep(0.05)
            if event == "crash":
                await desk.queues["a"].drop()
                desk = desk.restarted()
                for record in written:
                    await desk.take(record)
        await desk.settle()
        told = desk.sinks["a"].revisions
        assert len(told) == len(set(told))
        for which in range(3):
            mine = [r for a, r in told if a == f"{which:024x}"]
            assert mine == sorted(mine)
        dealt = {(d.alert_id, d.revision) for d in desk.writer.deliveries}
        assert dealt == {(f"{w:024x}", r) for w in range(3) for r in range(1, revision[w] + 1)}

    run(timeline())
