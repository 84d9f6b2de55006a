"""`tocsin quarantine` on a log in memory, and `tocsin parse` on batches."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from connectors import topics
from connectors.facts import FactRecord, encode
from connectors.quarantine import Reason
from streams.cli import quarantine
from streams.cli.main import app
from streams.errors import UserError
from streams.settings import Settings
from tests.unit.quarantine.fakes import MESSAGE, NOW, WHOLE, QuarantineJournal

Run = Callable[..., Result]


class ClosableJournal(QuarantineJournal):
    closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ClosableJournal:
    journal = ClosableJournal()
    settings = Settings(home=tmp_path, kafka={"bootstrap": "x:1"}, redis={"url": "redis://x"})
    monkeypatch.setattr(quarantine, "settings_of_running", lambda: settings)
    monkeypatch.setattr(quarantine, "KafkaJournal", lambda kafka: journal)
    monkeypatch.setattr(quarantine, "wall_clock", lambda: NOW)
    return journal


@pytest.fixture
def run(journal: ClosableJournal) -> Run:
    def call(*words: str) -> Result:
        return CliRunner().invoke(app, ["quarantine", *words])

    return call


def test_an_item_from_list_to_fix(journal: ClosableJournal, run: Run) -> None:
    record = journal.wired()
    (listed,) = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert (listed["id"], listed["state"], listed["times"]) == (record.id, "open", 1)
    shown = run("show", record.id[:8]).stdout
    assert "PID-3 is required and missing." in shown
    assert "> PID|1||||xxx^xxxx" in shown
    assert "Sent again now it would give: quarantine, no_patient at PID-3" in shown
    assert "Jane" not in shown
    fixed = run("fix", record.id[:8], "--set", "PID-3=4711^^^HOSP^MR", "--why", "lost")
    assert fixed.stdout.startswith("Sent again: ")
    assert journal.of(topics.WIRE_HL7)[-1].value == WHOLE
    assert "Nothing is in quarantine." in run("list").stdout
    assert journal.closed == 4


def test_show_unmask_needs_a_reason_and_is_noted(journal: ClosableJournal, run: Run) -> None:
    name = journal.wired().id[:8]
    refused = run("show", name, "--unmask")
    assert isinstance(refused.exception, UserError)
    assert journal.audit() == []
    assert "Doe^Jane" in run("show", name, "--unmask", "--why", "to find the feed").stdout
    (noted,) = journal.audit()
    assert (noted["event"], noted["why"]) == ("quarantine_unmasked", "to find the feed")


def test_what_cannot_be_sent_is_left_out_of_many_and_refused_alone(
    journal: ClosableJournal, run: Run
) -> None:
    facts = journal.wired(encode(FactRecord()), Reason.BAD_FACTS, "", topic=topics.FACTS)
    head = journal.held(MESSAGE, Reason.OVERSIZED)
    journal.wired()
    done = run("redrive", "--all", "--why", "t")
    assert "1 items sent again" in done.stdout
    assert f"Left out, {facts.id[:12]}: its bytes are a record of tocsin.facts" in done.stderr
    assert f"Left out, {head.id[:12]}: only the beginning" in done.stderr
    for words in ((facts.id,), ("--reason", "oversized")):
        alone = run("redrive", *words, "--why", "t")
        assert isinstance(alone.exception, UserError)
    assert "It cannot be sent again as it is" in run("show", head.id).stdout
    assert len(journal.of(topics.FACTS)) == 1
    assert len(journal.of(topics.WIRE_HL7)) == 2


def test_the_whole_message_from_a_file(journal: ClosableJournal, run: Run, tmp_path: Path) -> None:
    head = journal.held(MESSAGE[:30], Reason.TRUNCATED)
    file = tmp_path / "whole.hl7"
    file.write_bytes(WHOLE.replace(b"\r", b"\n"))
    done = run("fix", head.id, "--file", str(file), "--why", "from the sender")
    assert done.exit_code == 0, done.exception
    assert [r.value for r in journal.of(topics.WIRE_HL7)] == [WHOLE]


def test_many_ids_are_read_once(journal: ClosableJournal, run: Run) -> None:
    ids = [journal.wired(MESSAGE.replace(b"C1", b"C%d" % n)).id for n in range(5)]
    assert run("discard", *ids, "--why", "tests").stdout.count("discarded") == 5
    assert journal.reads == 2  # quarantine and audit


def test_list_since(journal: ClosableJournal, run: Run) -> None:
    journal.now = NOW - 7_200
    journal.wired()
    journal.now = NOW - 60
    late = journal.wired(WHOLE, Reason.BAD_VALUE)
    found = [
        json.loads(line)["id"]
        for line in run("list", "--json", "--since", "1h").stdout.split("\n")
        if line
    ]
    assert found == [late.id]


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("90s", NOW - 90),
        ("30m", NOW - 1_800),
        ("2h", NOW - 7_200),
        ("7d", NOW - 604_800),
        ("2026-11-23T12:00", NOW),
        ("2026-11-23T12:00+01:00", NOW - 3_600),
    ],
)
def test_moments(text: str, epoch: float) -> None:
    assert quarantine.since_of(text, NOW) == epoch


@pytest.mark.parametrize("text", ["h", "yesterday", "2 weeks", "-1h"])
def test_no_moments(text: str) -> None:
    with pytest.raises(UserError, match="--since"):
        quarantine.since_of(text, NOW)


def test_a_user_without_a_name_is_told_by_number(
    journal: ClosableJournal, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(uid: int) -> str:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    run("discard", journal.wired().id, "--why", "t")
    assert [a["who"] for a in journal.audit()] == [f"uid {os.getuid()}"]


def test_parse_and_fold_read_batches(
    tmp_path: Path, no_tocsin_environment: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_HOME", str(tmp_path))
    file = tmp_path / "batch.hl7"
    file.write_bytes(b"BHS|^~\\&|LAB|HOSP\r" + WHOLE + MESSAGE + b"BTS|3\r")
    done = CliRunner().invoke(app, ["parse", str(file), "--json"])
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(o["outcome"], o["reason"]) for o in outcomes] == [
        ("facts", None),
        ("quarantine", "no_patient"),
        ("quarantine", "batch_count"),
    ]
    folded = CliRunner().invoke(app, ["fold", str(file)])
    assert len(folded.stdout.splitlines()) == 1
    assert folded.stderr.count("Not folded") == 2
