"""What a mail says, and what it keeps to itself."""

from __future__ import annotations

from email import message_from_bytes, policy

from hypothesis import given
from hypothesis import strategies as st

from connectors.sinks.mail import compose
from connectors.sinks.settings import MailReceiver
from tests.unit.sinks.alerts import PATIENT, PERSON, alert, ended, notice

SETTINGS = MailReceiver(
    kind="mail", host="mail", sender="tocsin@hospital.example", to=("a@x.example", "b@x.example")
)
LINK = "https://t/{alert_id}"


def test_a_mail_holds_a_headline_a_pseudonym_and_a_link() -> None:
    """And the headers that keep it from being answered or shown twice."""
    mail = compose(notice(), SETTINGS, LINK)
    assert mail["Subject"] == "Critical deterioration risk: firing (above threshold)"
    assert mail["To"] == "a@x.example, b@x.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert PATIENT in text
    assert f"https://t/{alert().alert_id}" in text


def test_nothing_of_the_patient_is_in_it() -> None:
    """No name, no ward, no bed, no probability, no result."""
    one = alert(ward="Ward-Seven", bed="Bed-Nine")
    raw = bytes(compose(notice(one, people={PATIENT: PERSON}), SETTINGS, LINK))
    for secret in (b"Neil", b"4711", b"Ward-Seven", b"Bed-Nine", b"43", b"Lactate", b"4.1"):
        assert secret not in raw


def test_every_attempt_has_the_same_id() -> None:
    """So that a mail server that has it can tell."""
    first, again = compose(notice(), SETTINGS, ""), compose(notice(), SETTINGS, "")
    assert first["Message-ID"] == again["Message-ID"]
    assert compose(notice(ended()), SETTINGS, "")["Message-ID"] != first["Message-ID"]


def test_reminders_tests_and_several_say_so() -> None:
    """In the subject."""
    assert compose(notice(repeat=1), SETTINGS, "")["Subject"].startswith("Reminder: ")
    assert compose(notice(test=True), SETTINGS, "")["Subject"].startswith("TEST, no patient")
    several = notice(alert(), alert(alert_id="f" * 24))
    assert compose(several, SETTINGS, "")["Subject"].endswith(", and 1 more")


@given(st.text("a\r\n: ü", min_size=1, max_size=20))
def test_no_risk_can_add_a_header(risk: str) -> None:
    """A line end in a name does not begin a new line of the head."""
    raw = bytes(compose(notice(alert(risk=risk)), SETTINGS, ""))
    read = message_from_bytes(raw, policy=policy.default)
    assert set(read.keys()) <= {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    }
