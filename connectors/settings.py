"""Settings of the connectors. `streams.settings` composes them into the one settings model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of the database: OSError
        raise ValueError(f"{name!r} is no time zone (e.g. UTC, Europe/Vienna)") from None
    return name


def _readable_charset(name: str) -> str:
    ascii_bytes = bytes(range(128))
    try:
        fits = not name or ascii_bytes.decode(name) == ascii_bytes.decode("ascii")
    except (LookupError, UnicodeError):
        fits = False
    if not fits or name.replace("-", "_").endswith("_escape"):
        raise ValueError(f"{name!r} is no charset that extends ASCII (e.g. latin-1, utf-8)")
    return name


def _web_address(text: str) -> str:
    if text and not (text.startswith(("http://", "https://")) and urlsplit(text).hostname):
        raise ValueError(f"{text!r} is no address of the web (e.g. https://pacs/dicom-web)")
    return text


def _network_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if text and not (host and port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError(f"{text!r} is no host:port (e.g. pacs:104)")
    return text


NetworkAddress = Annotated[str, AfterValidator(_network_address)]  # "": none
WebAddress = Annotated[str, AfterValidator(_web_address)]  # "": none
ZoneName = Annotated[str, AfterValidator(_known_zone)]
Charset = Annotated[str, AfterValidator(_readable_charset)]  # "": none


class Section(BaseModel):
    """A part of the settings: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_default=True)


class TlsServer(Section):
    """TLS of a port that Tocsin opens. Off when `certificate` is empty."""

    certificate: Path | None = Field(
        None, description="PEM file with the server's certificate chain"
    )
    key: Path | None = Field(None, description="PEM file with the private key")
    client_ca: Path | None = Field(
        None, description="PEM file; when set, clients must present a certificate it signed"
    )


class KafkaSettings(Section):
    """The broker. With `bootstrap` empty, `tocsin up` starts one on this machine."""

    bootstrap: str = Field("", description="host:port[,host:port…]; empty: start one locally")
    security_protocol: str = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"
    )
    sasl_mechanism: str = Field("", description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512")
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_ca: Path | None = Field(None, description="PEM file with the broker's CA")
    partitions: int = Field(
        4,
        ge=1,
        le=512,
        description="partitions of topics keyed by patient: two for each worker that may ever run",
    )
    replication: int = Field(1, ge=1, description="replicas of each topic; 3 in production")

    def client(self) -> dict[str, Any]:
        """Connection settings in librdkafka's names."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": self.security_protocol,
            # Errors reach us as errors; librdkafka's own lines on stderr would flood a terminal.
            "log_level": 2,
            "reconnect.backoff.max.ms": 1_000,
        }
        if self.sasl_mechanism:
            config |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.sasl_password.get_secret_value(),
            }
        if self.ssl_ca:
            config["ssl.ca.location"] = str(self.ssl_ca)
        return config


class RedisSettings(Section):
    """The state store. With `url` empty, `tocsin up` starts one on this machine."""

    url: SecretStr = Field(
        SecretStr(""),
        description="redis://… or rediss://user:password@host:port/0; empty: start one",
    )


class MllpSettings(Section):
    """The HL7 v2 socket."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535, description="0: any free port")
    tls: TlsServer = TlsServer()
    max_message_bytes: int = Field(1_000_000, ge=1_000, description="a longer frame gets a NACK")
    max_unacknowledged: int = Field(
        1_000,
        ge=1,
        description="messages of one connection that may wait for the broker before reading stops",
    )
    max_unacknowledged_bytes: int = Field(
        64_000_000,
        ge=1_000_000,
        description="bytes of all connections that may wait for the broker",
    )
    max_connections: int = Field(1_000, ge=1)
    linger_ms: float = Field(
        2.0, ge=0, le=100, description="how long messages wait to go to the broker together"
    )
    source: str = Field("", description="name of the feed; empty: MSH-3|MSH-4 of each message")


class AdmissionSettings(Section):
    """When senders are slowed, so that what was heard is scored in time (MLLP and HTTP)."""

    backlog_s: float = Field(
        2.0,
        gt=0,
        le=60,
        description="scoring is behind while more waits than is scored in this time; answers to "
        "senders are then held back",
    )
    max_delay_s: float = Field(
        5.0,
        ge=0,
        le=60,
        description="no answer is held for longer: less than senders wait; 0: none is held",
    )


class ImagingSettings(Section):
    """The DICOM port: procedure steps and availability notices."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535, description="0: any free port")
    tls: TlsServer = TlsServer()
    ae_title: str = Field("TOCSIN", min_length=1, max_length=16, description="own AE title")
    callers: tuple[str, ...] = Field((), description="AE titles that may call; none named: any")
    max_associations: int = Field(20, ge=1, description="at the same time")


class HttpSettings(Section):
    """The HTTP port: FHIR resources, notices of archives, VCF and BED files."""

    host: str = Field(
        "127.0.0.1", description="beyond this machine only with `tokens` or `tls.client_ca`"
    )
    port: int = Field(0, ge=0, le=65535, description="0: any free port")
    tls: TlsServer = TlsServer()
    tokens: Path | None = Field(
        None, description="file with a line `SOURCE TOKEN` for each sender; read when it changes"
    )
    source: str = Field(
        "HTTP", min_length=1, description="name of the feed, where no token or parameter says one"
    )
    max_body_bytes: int = Field(
        9_000_000, ge=1_000, description="a longer body is refused; the broker has a limit, too"
    )
    max_requests: int = Field(
        16, ge=1, description="bodies that are read or wait for the broker; others are read later"
    )
    max_connections: int = Field(200, ge=1)
    body_timeout_s: float = Field(30.0, gt=0, description="for a body to arrive")
    answer_timeout_s: float = Field(
        60.0, gt=0, description="for the broker; then the sender is told to send it again (503)"
    )


class ArchiveSettings(Section):
    """The imaging archive that is asked about studies: by DICOMweb, or by DICOM where it has none.

    Off when both `url` and `address` are empty.
    """

    url: WebAddress = Field(
        "", description="root of QIDO-RS and WADO-RS, e.g. https://pacs/dicom-web"
    )
    user: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = Field(SecretStr(""), description="bearer token, instead of a password")
    address: NetworkAddress = Field(
        "", description="host:port of C-FIND and C-GET or C-MOVE, instead of `url`"
    )
    ae_title: str = Field("ARCHIVE", min_length=1, max_length=16, description="at `address`")
    retrieve: Literal["c-get", "c-move"] = "c-get"
    move_port: int = Field(
        0, ge=0, le=65535, description="of c-move: own port that the archive knows us by"
    )
    ca: Path | None = Field(
        None, description="PEM file with the archive's CA; with `address` it switches TLS on"
    )
    timeout_s: float = Field(20.0, gt=0, description="of one request")
    source: str = Field("ARCHIVE", description="the feed's name in the site file")

    @model_validator(mode="after")
    def _one_way(self) -> ArchiveSettings:
        if self.url and self.address:
            raise ValueError("an archive is asked by `url` or by `address`, not by both")
        if self.address and self.retrieve == "c-move" and not self.move_port:
            raise ValueError("c-move needs `move_port`: the archive has to know where to send")
        return self


class SequencerSettings(Section):
    """wire.* → facts."""

    batch_messages: int = Field(
        8_000, ge=1, le=10_000, description="most messages taken from the log at once"
    )
    linger_ms: int = Field(
        15, ge=1, le=1_000, description="how long the broker collects messages for a batch"
    )
    record_messages: int = Field(
        2_000, ge=1, le=10_000, description="most messages in a facts record"
    )
    tick_s: float = Field(10.0, gt=0, le=3_600, description="time between ticks of the log's clock")
    time_zone: ZoneName = Field(
        "UTC",
        description="of times without an offset where MSH-7 has none either, e.g. Europe/Vienna",
    )
    charset: Charset = Field(
        "", description="overrides MSH-18, e.g. latin-1; empty: MSH-18, else UTF-8"
    )
    site: Path | None = Field(
        None, description="YAML file of sources and their codes (docs/sources.md)"
    )
    max_future_s: float = Field(
        600.0, ge=0, description="a time further ahead of the clock than this is refused"
    )


class IdentitySettings(Section):
    """Pseudonyms and the identity vault."""

    key: SecretStr = Field(
        SecretStr(""),
        description="32 bytes in hex; empty: a key file is made in the working folder",
    )

    @field_validator("key")
    @classmethod
    def _whole_key(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        if text and (len(text) != 64 or set(text.lower()) - set("0123456789abcdef")):
            raise ValueError("the key has to be 32 bytes in hex, that is 64 digits")
        return key

    preferred_types: tuple[str, ...] = Field(
        ("MR", "PI", "PT", "AN"), description="PID-3 identifier types (table 0203), best first"
    )
