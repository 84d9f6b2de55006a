"""Settings of those who are told of alerts. Secrets stay here, never in the versioned policy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from connectors.settings import Section, WebAddress
from connectors.sinks.signature import BadSecretError, key_of

_NAME = re.compile("[a-z][a-z0-9-]{0,62}")


def _receiver_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is no name of a receiver: lower-case letters, digits and hyphens"
        )
    return text


def _web_address_of_its_own(text: str) -> str:
    if not text:
        raise ValueError("the address is missing")
    if urlsplit(text).username is not None:
        raise ValueError("a password does not belong in the address: it would be logged")
    return text


ReceiverName = Annotated[str, AfterValidator(_receiver_name)]
Address = Annotated[WebAddress, AfterValidator(_web_address_of_its_own)]


class TlsClient(Section):
    """TLS of a connection that Tocsin opens. A server's certificate is always checked."""

    enabled: bool = Field(False, description="where the address does not say it itself")
    ca: Path | None = Field(None, description="PEM file with the server's CA; empty: the system's")
    certificate: Path | None = Field(None, description="PEM file with Tocsin's own certificate")
    key: Path | None = Field(None, description="PEM file with its private key")


class _Receiver(Section):
    """What all kinds have in common."""

    timeout_s: float = Field(10.0, gt=0, le=300, description="of one attempt")
    give_up_after_s: float = Field(
        3_600.0, gt=0, description="an alert that cannot be told for this long is a dead letter"
    )
    parallel: int = Field(4, ge=1, le=64, description="alerts on their way at the same time")
    queue: int = Field(
        10_000, ge=1, description="alerts that may wait; with more, the oldest is a dead letter"
    )
    breaker_failures: int = Field(5, ge=1, description="failures in a row that open the breaker")
    breaker_pause_s: float = Field(30.0, gt=0, description="rest before the next attempt then")
    only_newest: bool = Field(
        False, description="of several revisions that wait, only the newest is told"
    )
    updates: bool = Field(
        True, description="told as well of what calls nobody: acknowledged, snoozed, a comment"
    )
    tls: TlsClient = TlsClient()


class WebhookReceiver(_Receiver):
    """A web service that is posted each alert, signed as Standard Webhooks."""

    kind: Literal["webhook"]
    url: Address
    secret: SecretStr = Field(SecretStr(""), description="whsec_… in base64")
    secret_file: Path | None = Field(None, description="file that holds it")
    previous_secret: SecretStr = Field(
        SecretStr(""), description="signs as well, while the receiver changes over"
    )

    @model_validator(mode="after")
    def _usable_secret(self) -> WebhookReceiver:
        for secret in (self.secret, self.previous_secret):
            text = secret.get_secret_value()
            try:
                key_of(text) if text else None
            except BadSecretError as error:
                raise ValueError(str(error)) from None
        if not self.secret.get_secret_value() and self.secret_file is None:
            raise ValueError("a webhook needs a secret or a secret_file to sign with")
        return self


class MllpReceiver(_Receiver):
    """An HL7 v2 system: IHE ACM PCD-04 alerts, or the score as an observation (ORU^R01)."""

    kind: Literal["mllp"]
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    message: Literal["pcd04", "oru"] = Field("pcd04", description="pcd04: ORU^R40; oru: ORU^R01")
    identity: bool = Field(
        False, description="send the patient's own identifiers and name (audited)"
    )
    # A name of one kind's must not be another kind's with a value of another type: in the
    # environment nobody knows the kind yet.
    sending: tuple[str, str] = Field(
        ("TOCSIN", ""), description="MSH-3 and MSH-4, each name or name^id^type"
    )
    receiving: tuple[str, str] = Field(("", ""), description="MSH-5 and MSH-6")
    parallel: int = Field(1, ge=1, le=64, description="messages unanswered at the same time")


class FhirReceiver(_Receiver):
    """A FHIR R4 server: RiskAssessment, Flag and Communication as one transaction; or a subscriber
    to them (rest-hook)."""

    kind: Literal["fhir"]
    url: Address
    bundle: Literal["transaction", "batch", "rest-hook"] = Field(
        "transaction",
        description="rest-hook: no bundle, each resource is PUT below the url by itself, as to the "
        "endpoint of an R4 Subscription",
    )
    token: SecretStr = Field(SecretStr(""), description="bearer token")
    token_file: Path | None = Field(None, description="file that holds it")
    user: str = ""
    password: SecretStr = SecretStr("")
    identity: bool = Field(False, description="send the patient's own identifiers (audited)")
    only_newest: bool = Field(True, description="the resources hold what is true now")


class MailReceiver(_Receiver):
    """A mailbox. A mail holds the pseudonym and a link, and nothing of the patient."""

    kind: Literal["mail"]
    host: str = Field(min_length=1)
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: SecretStr = SecretStr("")
    password_file: Path | None = Field(None, description="file that holds it")
    sender: str = Field(min_length=3, description="e.g. tocsin@hospital.example")
    to: tuple[str, ...] = Field(min_length=1, description="addresses")
    parallel: int = Field(1, ge=1, le=8)
    only_newest: bool = Field(True, description="nobody reads five mails about one alert")
    updates: bool = Field(False, description="mails about what calls nobody too")


Receiver = Annotated[
    WebhookReceiver | MllpReceiver | FhirReceiver | MailReceiver, Field(discriminator="kind")
]


class SinksSettings(Section):
    """Who is told of alerts, and how."""

    group: str = Field("tocsin-sinks", min_length=1, description="consumer group")
    routing: Path | None = Field(
        None,
        description="YAML file that says who is told of what (docs/delivery.md); empty: the "
        "section `routing` of the policy, else everyone of everything",
    )
    link: str = Field(
        "", description="address of an alert in the console; {alert_id} and {patient} are filled in"
    )
    authority: str = Field(
        "TOCSIN", min_length=1, description="assigning authority of pseudonyms sent out"
    )
    receivers: dict[ReceiverName, Receiver] = Field(
        {}, description="a section for each, e.g. [sinks.receivers.pager] (docs/delivery.md)"
    )
