"""Settings as environment variables, for the processes that `up` starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from streams.settings import ENVIRONMENT_PREFIX, FILE_VARIABLE, Settings, settings_file


def variables(settings: Settings) -> dict[str, str]:
    """Every setting that was set, wherever, as `TOCSIN_…` variables. Holds secrets."""
    found = dict(_flatten(ENVIRONMENT_PREFIX, settings.model_dump(exclude_unset=True)))
    if settings_file().is_file():
        found[FILE_VARIABLE] = str(settings_file().resolve())
    return found


def _flatten(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = prefix + key.upper()
        if isinstance(value, Mapping):
            yield from _flatten(name + "__", value)
        elif value is not None:
            yield name, _text(value)


def _text(value: object) -> str:
    if isinstance(value, SecretStr | Path):
        value = _plain(value)
    return value if isinstance(value, str) else json.dumps(value, default=_plain)


def _plain(value: SecretStr | Path) -> str:
    """A setting as text, also where it is one of a list."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value.resolve())


def digest(*parts: object) -> str:
    """Tells whether two runs would be the same, without holding what may be secret."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
