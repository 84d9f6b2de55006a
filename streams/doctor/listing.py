"""Every setting with its meaning and its value in effect, as TOML: `tocsin doctor --settings`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from streams.settings import ENVIRONMENT_PREFIX, FILE_VARIABLE, Settings, settings_file


def listing(settings: Settings) -> str:
    """TOML that `tocsin.toml` may be made from; secrets that are set read `***`."""
    file = settings_file()
    source = f"read from {file}" if file.is_file() else f"{file} does not exist"
    lines = [
        f"# Settings in effect ({source}; {FILE_VARIABLE} names another file).",
        "# Each can also be given in the environment, under the name in brackets.",
    ]
    return "\n".join([*lines, *_section(settings, ())]) + "\n"


def _section(section: BaseModel, path: tuple[str, ...]) -> Iterator[str]:
    parts: list[tuple[str, BaseModel]] = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            parts.append((name, value))
            continue
        key = (*path, name)
        variable = ENVIRONMENT_PREFIX + "__".join(key).upper()
        yield f"# {field.description or _plain(name)} [{variable}]"
        if isinstance(value, dict) and not any(isinstance(v, BaseModel) for v in value.values()):
            yield from _table(name, value)
            continue
        if isinstance(value, dict):  # named sections: none of them has a line here
            parts += [(f"{name}.{part}", section) for part, section in value.items()]
            continue
        yield _assignment(name, value)
    for name, part in parts:
        yield ""
        summary = (type(part).__doc__ or name).splitlines()[0]
        yield f"# {summary}"
        yield f"[{'.'.join((*path, name))}]"
        yield from _section(part, (*path, *name.split(".")))


def _table(name: str, value: dict[str, Any]) -> Iterator[str]:
    if value:
        pairs = (f"{json.dumps(key)} = {json.dumps(str(one))}" for key, one in value.items())
        yield f"{name} = {{ {', '.join(pairs)} }}"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _assignment(name: str, value: Any) -> str:
    if value is None:
        return f"# {name} ="
    if isinstance(value, SecretStr):
        value = "***" if value.get_secret_value() else ""
    elif isinstance(value, Path):
        value = str(value)
    # JSON's strings, numbers, booleans and lists are TOML's.
    return f"{name} = {json.dumps(value, default=str)}"  # paths may stand in a list
