"""Signed webhooks: what a receiver's own library makes of them."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from connectors.contract import decode_alert
from connectors.sinks import signature
from connectors.sinks.settings import WebhookReceiver
from connectors.sinks.webhook import payload
from tests.unit.sinks.alerts import PERSON, alert, ended, notice
from tests.unit.sinks.peers import SECRET

OLD = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()


def now() -> int:
    """The library refuses signatures that are minutes old, by its own clock."""
    return int(time.time())


def test_the_receivers_library_accepts_what_was_signed() -> None:
    """And gives the body back."""
    body = payload(notice(), "")
    headers = signature.headers([signature.key_of(SECRET)], "msg_1", now(), body)
    read = Webhook(SECRET).verify(body, headers)
    assert read["type"] == "alert.firing"
    assert read["timestamp"] == "2026-01-01T12:00:00.000Z"


@pytest.mark.parametrize("secret", [SECRET, OLD])
def test_while_a_secret_is_changed_both_are_good(secret: str) -> None:
    """Two signatures in one header."""
    keys = [signature.key_of(SECRET), signature.key_of(OLD)]
    headers = signature.headers(keys, "msg_1", now(), b"{}")
    assert Webhook(secret).verify(b"{}", headers) == {}


@given(st.binary(max_size=200).filter(lambda b: b != b"{}"))
def test_another_body_does_not_verify(body: bytes) -> None:
    """Whatever it is."""
    headers = signature.headers([signature.key_of(SECRET)], "msg_1", now(), b"{}")
    with pytest.raises((WebhookVerificationError, UnicodeDecodeError)):
        Webhook(SECRET).verify(body, headers)


def test_another_id_or_time_does_not_verify() -> None:
    """Both are signed."""
    good = signature.headers([signature.key_of(SECRET)], "msg_1", now(), b"{}")
    for change in ({"webhook-id": "msg_2"}, {"webhook-timestamp": str(now() - 5)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(b"{}", good | change)


def test_the_body_holds_the_alert_as_it_is_in_the_log() -> None:
    """So one reader does for both."""
    data = json.loads(payload(notice(alert(ward="Ü1")), "https://t/{alert_id}?p={patient}"))["data"]
    assert decode_alert(json.dumps(data["alerts"][0]).encode()) == alert(ward="Ü1")
    assert list(data["links"].values()) == [f"https://t/{alert().alert_id}?p={alert().patient}"]


def test_several_alerts_and_a_test_say_that_they_are() -> None:
    """In `type` and `test`."""
    several = json.loads(payload(notice(alert(), ended(alert_id="f" * 24)), ""))
    assert several["type"] == "alerts.changed"
    assert json.loads(payload(notice(test=True), ""))["data"]["test"] is True


def test_a_name_never_goes_into_a_webhook() -> None:
    """Even if somebody handed it over."""
    body = payload(notice(people={alert().patient: PERSON}), "")
    assert b"Neil" not in body
    assert b"4711" not in body


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!", "whsec_QUJD", "plain text"])
def test_a_bad_secret_is_refused_and_not_repeated(secret: str) -> None:
    """An error must not end up in a log with the secret in it."""
    with pytest.raises(ValidationError) as caught:
        WebhookReceiver(kind="webhook", url="https://h/x", secret=secret)
    shown = str(caught.value.errors(include_input=False))
    assert secret.removeprefix("whsec_") not in shown or secret == "whsec_"


@pytest.mark.parametrize("url", ["", "ftp://h/x", "https://user:pw@h/x", "h/x"])
def test_an_address_is_of_the_web_and_holds_no_password(url: str) -> None:
    """It is logged."""
    with pytest.raises(ValidationError):
        WebhookReceiver(kind="webhook", url=url, secret=SECRET)
