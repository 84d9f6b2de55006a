"""Merges and the quarantine through the running system."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time

import pytest

from connectors import topics
from connectors.contract import Alert, AlertState
from connectors.hl7 import build
from streams.cli.person import person
from tests.acceptance.system import DYING, System, admission, results, send, wait_for
from tests.acceptance.test_socket_to_alert import firing

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


def tocsin(system: System, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *words],
        env={**os.environ, "TOCSIN_HOME": str(system.home)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def quarantined(system: System, *options: str) -> list[dict[str, object]]:
    done = tocsin(system, "quarantine", "list", "--json", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def joined(kind: str, at: float, survivor: str, *more: str) -> bytes:
    segments = build.message(kind, f"{kind}-{survivor}-{at}", at)
    segments += [build.evn(kind[-3:], recorded=at), build.pid([(survivor, "HOSP", "MR")]), *more]
    return build.join(segments)


def last(system: System, alert_id: str) -> Alert:
    return [a for a in system.alerts() if a.alert_id == alert_id][-1]


async def test_a_merge_moves_the_alert_and_an_unmerge_moves_it_back(system: System) -> None:
    now = time.time()
    await send(
        system,
        admission("500", now - 3600, bed="B500"),
        results("500", now - 100, DYING),
        joined("ADT^A31", now - 90, "501"),
    )
    first = wait_for(lambda: firing(system, "B500"), "an alert")

    await send(system, joined("ADT^A40", now - 50, "501", "MRG|500^^^HOSP^MR"))
    wait_for(
        lambda: last(system, first.alert_id).state is AlertState.WITHDRAWN, "the loser's alert ends"
    )
    assert last(system, first.alert_id).reason == "merged"
    second = wait_for(
        lambda: next(
            (
                a
                for a in system.alerts()
                if a.bed == "B500" and a.patient != first.patient and a.state is AlertState.FIRING
            ),
            None,
        ),
        "the survivor's alert",
    )
    # A little later, with the same facts.
    assert second.score.probability == pytest.approx(first.score.probability, abs=0.02)

    unlink = joined("ADT^A37", now - 10, "501", "PV1|1|I", build.pid([("500", "HOSP", "MR")]))
    await send(system, unlink)
    wait_for(
        lambda: last(system, second.alert_id).state is not AlertState.FIRING,
        "the survivor's alert ends",
    )
    wait_for(
        lambda: last(system, first.alert_id).state is AlertState.FIRING, "the first alert again"
    )


async def test_a_message_is_mended_and_sent_again(system: System) -> None:
    now = time.time()
    broken = results("600", now - 60, DYING).replace(b"600^^^HOSP^MR", b"")
    await send(system, admission("600", now - 3600, bed="B600"), broken)
    (item,) = wait_for(lambda: quarantined(system, "--reason", "no_patient"), "an item")
    name = str(item["id"])[:12]

    shown = tocsin(system, "quarantine", "show", name)
    assert shown.returncode == 0, shown.stderr
    assert "no usable identifier" in shown.stdout
    assert "PID-3" in shown.stdout

    still = tocsin(system, "quarantine", "fix", name, "--set", "PID-5=A^B", "--why", "test")
    assert (still.returncode, "refused again" in still.stderr) == (1, True)
    mended = tocsin(
        system, "quarantine", "fix", name, "--set", "PID-3=600^^^HOSP^MR", "--why", "number lost"
    )
    assert mended.returncode == 0, mended.stderr
    wait_for(lambda: firing(system, "B600"), "an alert from the mended message")
    assert quarantined(system, "--reason", "no_patient") == []

    audit = [json.loads(raw) for _, _, raw in system.read(topics.AUDIT)]
    (done,) = [a for a in audit if a.get("item") == item["id"]]
    assert (done["event"], done["why"]) == ("quarantine_redriven", "number lost")
    assert done["was"] != done["now"]
    assert "600" not in json.dumps({k: v for k, v in done.items() if k in ("why", "who", "event")})
    assert set(done) == {"event", "who", "at", "item", "seen", "why", "was", "now"}
    assert done["who"] == person()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", done["at"])
    assert all(n.isdecimal() and type(offset) is int for n, offset in done["seen"].items())
    mended_bytes = broken.replace(b"PID|1||", b"PID|1||600^^^HOSP^MR", 1)
    assert done["was"] == hashlib.sha256(broken).hexdigest()
    assert done["now"] == hashlib.sha256(mended_bytes).hexdigest()
    # Beside digests, the reason that was typed and who typed it: no identifier, name or content.
    said = json.dumps({k: v for k, v in done.items() if k not in ("was", "now", "item", "at")})
    for content in ("600^", "HOSP", "B600", "MSH", "PID", "OBX", "FAMILY", "GIVEN", "mm[Hg]"):
        assert content not in said


async def test_what_is_still_refused_comes_back_and_can_be_discarded(system: System) -> None:
    now = time.time()
    await send(system, results("700", now, DYING).replace(b"ORU^R01", b"ZZZ^Z99"))
    (item,) = wait_for(lambda: quarantined(system, "--reason", "unsupported_type"), "an item")
    name = str(item["id"])[:12]
    again = tocsin(system, "quarantine", "redrive", "--reason", "unsupported_type", "--why", "t")
    assert again.returncode == 0, again.stderr

    def back() -> bool:
        found = quarantined(system, "--reason", "unsupported_type")
        return bool(found) and found[0]["times"] == 2

    wait_for(back, "it is refused again")
    gone = tocsin(system, "quarantine", "discard", name, "--why", "a vendor's test")
    assert gone.returncode == 0, gone.stderr
    assert quarantined(system, "--reason", "unsupported_type") == []
    assert [i["state"] for i in quarantined(system, "--all", "--reason", "unsupported_type")] == [
        "discarded"
    ]


def test_errors_say_what_to_do(system: System) -> None:
    for words, sentence in (
        (("show", "ffff"), "quarantine list --all"),
        (("redrive",), "--reason"),
        (("fix", "ffff", "--why", "x"), "No item"),
    ):
        done = tocsin(system, "quarantine", *words)
        assert done.returncode == 1
        assert sentence in done.stderr
