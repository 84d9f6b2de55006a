"""The running system that a command talks to: settings, completed by what `up` started."""

from __future__ import annotations

import json
from pathlib import Path

from streams import settings as settings_module
from streams.errors import UserError
from streams.settings import Settings

ENDPOINTS = "endpoints.json"


def endpoints(home: Path) -> dict[str, str]:
    """What `tocsin up` wrote. Raises `UserError` when nothing is up there."""
    file = home / ENDPOINTS
    try:
        found: dict[str, str] = json.loads(file.read_text())
    except FileNotFoundError:
        raise UserError(
            f"Nothing is running from {home}. Start it with `tocsin up`, or name your servers in "
            "tocsin.toml."
        ) from None
    return found


def settings_of_running() -> Settings:
    """Settings whose servers are the named ones, otherwise those that `tocsin up` started."""
    settings = settings_module.load()
    if settings.kafka.bootstrap and settings.redis.url.get_secret_value():
        return settings
    found = endpoints(settings.home)
    kafka, redis = settings.kafka, settings.redis
    if not kafka.bootstrap:
        kafka = kafka.model_copy(update={"bootstrap": found["kafka"]})
    if not redis.url.get_secret_value():
        redis = type(redis)(url=found["redis"])
    return settings.model_copy(update={"kafka": kafka, "redis": redis})
