"""The page of `docs/reference` about receivers and routing, made from their classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from connectors.sinks.settings import (
    FhirReceiver,
    MailReceiver,
    MllpReceiver,
    TlsClient,
    WebhookReceiver,
)
from streams.delivery.routing import LABELS, ReceiverOfRoutes, Route

_KINDS = (WebhookReceiver, MllpReceiver, FhirReceiver, MailReceiver)


def page(described: Iterable[tuple[str, Iterable[tuple[str, str]]]]) -> str:
    """The page; `described` are titles and the members of a catalogue."""
    lines = [
        "# Receivers",
        "",
        "Sections `sinks.receivers.<name>` of the settings, by `kind` "
        "([what they do](../delivery.md)). A value may come from the environment: "
        "`TOCSIN_SINKS__RECEIVERS__<NAME>__<KEY>`.",
    ]
    for kind in _KINDS:
        name = kind.model_fields["kind"].annotation
        lines += ["", f"## {_literal(name)[0]}", "", _first_line(kind), "", *_table(kind)]
    lines += ["", "## tls, of any receiver", "", _first_line(TlsClient), "", *_table(TlsClient)]
    lines += ["", "# Routing", "", "## A receiver", "", *_table(ReceiverOfRoutes)]
    lines += ["", "## A route", "", *_table(Route), "", f"Labels: {', '.join(LABELS)}."]
    for title, members in described:
        lines += ["", f"# {title}", "", "| | meaning |", "|---|---|"]
        lines += [f"| `{value}` | {text} |" for value, text in members]
    return "\n".join(lines) + "\n"


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for name, field in model.model_fields.items():
        if name == "kind" or (name == "tls" and model is not TlsClient):
            continue
        key = field.alias or name
        meaning = (field.description or key.replace("_", " ")).replace("|", "\\|")
        yield f"| `{key}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if field.is_required():
        return "needed"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", ()):
        return "–"
    if isinstance(value, Path | StrEnum):
        value = str(value)
    return f"`{json.dumps(value)}`"


def _literal(annotation: Any) -> tuple[str, ...]:
    return tuple(annotation.__args__)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").splitlines()[0]
