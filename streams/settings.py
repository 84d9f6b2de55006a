"""The one settings model: a TOML file and the environment, typed, documented, strict.

`tocsin.toml` in the current folder (or the file that `TOCSIN_SETTINGS` names), overridden by
environment variables such as `TOCSIN_KAFKA__BOOTSTRAP=broker:9092`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from connectors.settings import (
    AdmissionSettings,
    ArchiveSettings,
    HttpSettings,
    IdentitySettings,
    ImagingSettings,
    KafkaSettings,
    MllpSettings,
    RedisSettings,
    Section,
    SequencerSettings,
    TlsServer,
    WebAddress,
)
from connectors.sinks.settings import SinksSettings
from streams.roles import Role

ENVIRONMENT_PREFIX = "TOCSIN_"
FILE_VARIABLE = "TOCSIN_SETTINGS"
DEFAULT_FILE = Path("tocsin.toml")


class SettingsError(Exception):
    """Settings that cannot be used; the message says which, and what to do."""


class WorkerSettings(Section):
    """The Faust worker."""

    group: str = Field("tocsin-worker", description="consumer group")
    session_timeout_s: float = Field(
        3.0,
        ge=1.0,
        description="a worker silent for this long loses its partitions; longer where the brokers "
        "ask for it (group.min.session.timeout.ms, 6 s by default)",
    )
    linger_ms: float = Field(
        3.0,
        ge=0,
        le=1_000,
        description="how long a batch of a few messages waits to fill before it is scored",
    )
    cached_patients: int = Field(20_000, ge=1, description="patients kept in memory")
    rest_hours: float = Field(
        24.0,
        gt=0,
        description="after so long without a word of them, patients lie packed in the store",
    )
    bundles: Path | None = Field(None, description="folder of model bundles; empty: those shipped")
    risks: tuple[str, ...] = Field(
        ("deterioration", "sepsis", "glioma-survival", "head-neck-recurrence"),
        min_length=1,
        description="bundles to score with",
    )
    shadow: tuple[Path, ...] = Field(
        (),
        description="folders of bundles on trial: their scores are recorded, and nobody is "
        "alerted; one that cannot be used is left out, and the log says why",
    )


class PolicySettings(Section):
    """Versions of the alert policy."""

    two_person: bool = Field(
        False,
        description="a version has to be approved by somebody else than its author; one that was "
        "not counts no more when this is switched on",
    )
    guard: bool = Field(
        False, description="tocsin up also starts `tocsin guard`, which watches alert rates"
    )


class OidcSettings(Section):
    """Sign-in by OpenID Connect. Without an issuer the console is a demonstration for this machine
    alone."""

    issuer: WebAddress = Field("", description="e.g. https://login.hospital.example/realms/care")
    client_id: str = Field("", description="as which the console is registered there")
    client_secret: SecretStr = SecretStr("")
    audience: str = Field("", description="of bearer tokens; empty: the client id")
    scopes: tuple[str, ...] = ("openid", "profile")
    who_claim: str = Field(
        "sub", description="claim that stands in audit and actions; has to stay the same for ever"
    )
    role_claim: str = Field(
        "roles", description="claim that names roles; dots lead into it, e.g. realm_access.roles"
    )
    roles: dict[str, Role] = Field(
        {}, description="what the claim says → role of Tocsin; empty: the roles' own names"
    )
    session_hours: float = Field(10.0, gt=0, le=24, description="then people sign in again")
    ca: Path | None = Field(None, description="PEM file with the issuer's CA")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer and not self.client_id:
            raise ValueError("an issuer needs a client_id")
        address = urlsplit(self.issuer)
        if address.scheme == "http" and address.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("an issuer elsewhere needs https")
        return self


class ConsoleSettings(Section):
    """The web console."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535, description="0: any free port")
    url: WebAddress = Field(
        "", description="the console's address as browsers know it; empty: host and port"
    )
    tls: TlsServer = TlsServer()
    cohorts: dict[str, Path] = Field(
        {}, description="risk → predictions.csv of `tocsin evaluate`, to try thresholds on"
    )
    oidc: OidcSettings = OidcSettings()


class TelemetrySettings(Section):
    """Logs, metrics, traces."""

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Prometheus and readiness; 0: any free"
    )
    trace_ratio: float = Field(
        0.01, ge=0, le=1, description="share of messages traced; alerts always are"
    )
    otlp_endpoint: str = Field(
        "", description="OpenTelemetry collector; empty: traces go to a file"
    )


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        validate_default=True,
    )

    home: Path = Field(Path(".tocsin"), description="working folder: servers, keys, logs, state")
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    mllp: MllpSettings = MllpSettings()
    admission: AdmissionSettings = AdmissionSettings()
    imaging: ImagingSettings = ImagingSettings()
    archive: ArchiveSettings = ArchiveSettings()
    http: HttpSettings = HttpSettings()
    sequencer: SequencerSettings = SequencerSettings()
    identity: IdentitySettings = IdentitySettings()
    worker: WorkerSettings = WorkerSettings()
    policy: PolicySettings = PolicySettings()
    console: ConsoleSettings = ConsoleSettings()
    sinks: SinksSettings = SinksSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file."""
        file = settings_file()
        toml = TomlConfigSettingsSource(settings_cls, toml_file=file)
        return (init_settings, env_settings, toml)


def settings_file() -> Path:
    """The file that settings are read from (it need not exist)."""
    return Path(os.environ.get(FILE_VARIABLE, DEFAULT_FILE))


def load(**overrides: Any) -> Settings:
    """Settings from file and environment. Raises `SettingsError` with one sentence per problem."""
    file = os.environ.get(FILE_VARIABLE)
    if file and not Path(file).is_file():
        raise SettingsError(f"{FILE_VARIABLE} names {file}, which does not exist.")
    unknown = _unknown_variables()
    if unknown:
        raise SettingsError(
            f"Unknown setting in the environment: {', '.join(unknown)}. "
            "`tocsin doctor --settings` lists those that exist."
        )
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(p) for p in e['loc']) or 'settings'}: {_words(e['msg'])}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"Settings cannot be used: {problems}.") from None
    except ValueError as error:  # TOML that does not parse
        raise SettingsError(f"{settings_file()} cannot be read: {error}.") from None


def _words(problem: str) -> str:
    if problem == "Extra inputs are not permitted":
        return "there is no such setting (`tocsin doctor --settings` lists them)"
    return problem.removeprefix("Value error, ")


def _unknown_variables() -> list[str]:
    """TOCSIN_* variables that name no setting (pydantic ignores unknown top-level ones)."""
    known = {name.upper() for name in Settings.model_fields}
    names = (n for n in os.environ if n.startswith(ENVIRONMENT_PREFIX) and n != FILE_VARIABLE)
    return sorted(
        n for n in names if n.removeprefix(ENVIRONMENT_PREFIX).split("__")[0] not in known
    )
