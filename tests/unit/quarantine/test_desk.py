"""Looking, mending, sending again and discarding, as the command line and the console do it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from connectors import topics, wire
from connectors.facts import FactRecord, encode
from connectors.interpretation import Profile
from connectors.quarantine import Reason
from connectors.quarantine_log import Item, QuarantineLog, State
from streams.errors import UserError
from streams.quarantine_desk import Desk, fits, line_of
from tests.unit.quarantine.fakes import (
    MESSAGE,
    NOW,
    RECEIVED,
    WHOLE,
    FixedInterpreter,
    QuarantineJournal,
)

PID = "PID-3=4711^^^HOSP^MR"


class Setting:
    """A desk, what it reads with, and the log below it."""

    def __init__(self, profile: Profile | None = None) -> None:
        self.journal = QuarantineJournal()
        self.interpreter = FixedInterpreter(profile)
        self.desk = Desk(QuarantineLog(self.journal, lambda: NOW), self.interpreter)

    def only(self) -> Item:
        (item,) = self.desk.items()
        return item


@pytest.fixture
def at() -> Setting:
    return Setting()


def test_a_look_says_what_is_wrong_and_names_nobody(at: Setting) -> None:
    at.journal.wired()
    look = at.desk.look(at.only())
    assert "PID-3 is required and missing." in look.findings
    assert look.text.split("\n")[look.marked or 0].startswith("PID|1|||")
    assert look.outcome == "quarantine, no_patient at PID-3"
    assert look.obstacle == ""
    for secret in ("Doe", "Jane", "1950"):
        assert secret not in f"{look.text}{look.findings}{look.outcome}"
    assert at.journal.audit() == []


def test_the_preview_reads_what_sending_again_would_write(at: Setting) -> None:
    """Same time heard, source and content type: a time just ahead then is not `in the future`."""
    headers = [
        (topics.HEADER_RECEIVED_AT, b"1700000000.5"),
        (topics.HEADER_SOURCE, b"ENGINE"),
        (topics.HEADER_SUBJECT, b"HOSP|MR|4711"),
    ]
    at.journal.wired(headers=headers)
    at.desk.look(at.only())
    (heard,) = at.interpreter.heard
    assert (heard.heard, heard.source, heard.subject) == (1_700_000_000.5, "ENGINE", "HOSP|MR|4711")
    assert heard.redriven


@pytest.mark.parametrize("headers", [[], [(topics.HEADER_RECEIVED_AT, b"soon")]])
def test_without_a_header_the_preview_is_heard_when_the_item_was(
    headers: list[tuple[str, bytes]],
) -> None:
    at = Setting()
    at.journal.wired(headers=headers)
    at.desk.look(at.only())
    expected = RECEIVED if not headers else NOW  # what is no time is passed over, as on the wire
    assert at.interpreter.heard[0].heard == expected


def test_the_topic_decides_what_a_record_without_header_is(at: Setting) -> None:
    at.journal.wired(b"{}", Reason.UNSUPPORTED_CONTENT, "", topic=topics.WIRE_IMAGING, headers=[])
    look = at.desk.look(at.only())
    assert (look.content_type, look.text, look.findings) == (wire.DICOM_JSON, "", [])
    with pytest.raises(UserError, match="HL7 messages only"):
        at.desk.mend(at.only(), [PID], "ann", "t")


def test_a_field_anew_is_sent_and_audited(at: Setting) -> None:
    record = at.journal.wired()
    assert at.desk.mend(at.only(), [PID], "ann", "number lost").endswith(" facts")
    sent = at.journal.of(topics.WIRE_HL7)[-1]
    assert sent.value == WHOLE
    assert dict(sent.headers)[topics.HEADER_REDRIVE_OF] == record.id.encode()
    (audit,) = at.journal.audit()
    assert audit["was"] == hashlib.sha256(MESSAGE).hexdigest()
    assert audit["now"] == hashlib.sha256(WHOLE).hexdigest()
    assert (audit["who"], audit["why"], audit["item"]) == ("ann", "number lost", record.id)
    assert at.only().state is State.REDRIVEN


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (["PID-5=Doe^Jo"], "It would be refused again: quarantine, no_patient"),
        ([], "Nothing is changed"),
        (["PID=3"], "does not say which field"),
        (MESSAGE, "Nothing is changed"),
        (b"", "refused again: quarantine, empty_frame"),
        (lambda raw: raw[:10], "refused again"),
    ],
)
def test_what_would_not_help_is_not_sent(
    at: Setting, how: list[str] | bytes | Callable[[bytes], bytes], sentence: str
) -> None:
    at.journal.wired()
    with pytest.raises(UserError, match=sentence):
        at.desk.mend(at.only(), how, "ann", "t")
    assert len(at.journal.of(topics.WIRE_HL7)) == 1
    assert at.journal.audit() == []


def test_force_sends_it_all_the_same(at: Setting) -> None:
    at.journal.wired()
    assert "no_patient" in at.desk.mend(at.only(), ["PID-5=A^B"], "ann", "t", force=True)
    assert b"A^B" in at.journal.of(topics.WIRE_HL7)[-1].value


def test_of_a_head_only_the_whole_message_helps(at: Setting) -> None:
    at.journal.held(MESSAGE, Reason.TRUNCATED)
    assert "only the beginning" in at.desk.look(at.only()).obstacle
    for how in ([PID], lambda raw: WHOLE):
        with pytest.raises(UserError, match="fix --file"):
            at.desk.mend(at.only(), how, "ann", "t")
    with pytest.raises(UserError, match="fix --file"):
        list(at.desk.redrive([at.only()], "ann", "t"))
    at.desk.mend(at.only(), WHOLE, "ann", "from the sender")
    assert [r.value for r in at.journal.of(topics.WIRE_HL7)] == [WHOLE]


def test_a_record_of_facts_is_shown_as_what_it_is(at: Setting) -> None:
    at.journal.wired(encode(FactRecord()), Reason.BAD_FACTS, "", topic=topics.FACTS)
    look = at.desk.look(at.only())
    assert (look.content_type, look.text, look.outcome) == ("application/json", "", "")
    assert "tocsin.facts" in look.obstacle
    assert at.interpreter.heard == []


def test_unmasking_is_noted_first(at: Setting) -> None:
    at.journal.wired()
    item = at.only()
    with pytest.raises(UserError, match="Say why"):
        at.desk.unmasked(item, "ann", " ")
    assert at.journal.audit() == []
    assert at.desk.unmasked(item, "ann", "to find the feed") == MESSAGE
    assert [a["event"] for a in at.journal.audit()] == ["quarantine_unmasked"]
    assert at.only().state is State.OPEN


def test_nothing_is_discarded_without_a_reason(at: Setting) -> None:
    at.journal.wired()
    with pytest.raises(UserError, match="Say why"):
        at.desk.discard(at.only(), "ann", "")
    at.desk.discard(at.only(), "ann", "a vendor's test")
    assert at.only().state is State.DISCARDED


def test_a_broker_that_is_away_is_one_sentence(at: Setting) -> None:
    at.journal.wired()
    item = at.only()
    at.journal.away = True
    for step in (
        at.desk.items,
        lambda: at.desk.look(item),
        lambda: list(at.desk.redrive([item], "ann", "t")),
        lambda: at.desk.discard(item, "ann", "t"),
    ):
        with pytest.raises(UserError, match="Kafka does not answer"):
            step()
    at.journal.away = False
    at.journal.records[topics.WIRE_HL7, 0].clear()
    with pytest.raises(UserError, match="The bytes are gone"):
        at.desk.look(item)


def test_the_site_decides_the_charset_of_a_value() -> None:
    at = Setting(Profile(charset="latin-1"))
    at.journal.wired(MESSAGE.replace(b"Jane", b"Ren\xe9e"))
    at.desk.mend(at.only(), [PID, "PID-9=J\u00fcrgen"], "ann", "t")
    sent = at.journal.of(topics.WIRE_HL7)[-1].value
    assert b"Ren\xe9e" in sent
    assert b"J\xfcrgen" in sent


def test_every_message_of_a_batch_is_told(at: Setting) -> None:
    batch = b"BHS|^~\\&|LAB|HOSP\r" + MESSAGE + WHOLE + b"BTS|2\r"
    at.journal.wired(batch, location="message 1 PID-3", partial=True)
    look = at.desk.look(at.only())
    first, second = look.outcome.split("; ")
    assert first.startswith("quarantine, no_patient at message 1")
    assert second.endswith(" facts")


def test_filters(at: Setting) -> None:
    at.journal.wired()
    item = at.only()
    assert fits(item, "no_patient", "LAB|HOSP", every=False)
    assert not fits(item, "bad_value")
    assert not fits(item, "", "ADT|HOSP")
    at.desk.discard(item, "ann", "t")
    assert not fits(item, every=False)


TEXT = "BHS\nMSH|a\nPID|1\nOBX|1\nMSH|b\nPID|1\nOBX|1\nOBX|2"


@pytest.mark.parametrize(
    ("location", "line"),
    [
        ("", None),
        ("PID-3", 2),
        ("OBX[2]-5", 6),
        ("OBX[4]", None),
        ("message 2", 4),
        ("message 2 OBX[2]-5", 7),
        ("message 3 OBX[1]", None),
        ("content-type", None),
        ("BHS", 0),
    ],
)
def test_the_line_that_is_meant(location: str, line: int | None) -> None:
    assert line_of(TEXT, location) == line
