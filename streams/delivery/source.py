"""Where the routing comes from, and how a change of it takes effect without a restart.

A file (`sinks.routing`) where one is set; otherwise the section `routing` of the policy in force;
otherwise every receiver is told of everything.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Protocol

import msgspec
from confluent_kafka import KafkaException

from connectors import configuration, topics
from connectors.clock import iso
from connectors.configuration import History, RefusedError
from connectors.journal import Journal
from connectors.sinks.settings import SinksSettings
from streams.delivery import routing
from streams.delivery.routing import Routing, RoutingError
from streams.policy import document
from streams.policy.document import PolicyError

log = logging.getLogger("tocsin.sinks")


class RoutingChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `tocsin.audit`: from now on, another routing says who is told."""

    at: str
    source: str  # "file …", "policy …"
    digest: str  # SHA-256 of the routing as it counts
    event: str = "routing_changed"


def changed(source: str, now: Routing, at: float) -> RoutingChanged:
    """The record for a routing that has come into force."""
    said = now.model_dump_json(by_alias=True).encode()
    return RoutingChanged(at=iso(at), source=source, digest=hashlib.sha256(said).hexdigest())


class RoutingSource(Protocol):
    """The routing in force."""

    current: Routing

    def look(self) -> str:
        """Take over a change: where the new routing is from, "" when there is none.

        May block; raises nothing that passes.
        """
        ...


class RoutingFile:
    """The newest usable version of a file."""

    def __init__(self, file: Path) -> None:
        """Raises `RoutingError`."""
        self._file, self._stamp = file, _stamp(file)
        self.current: Routing = routing.load(file)

    def look(self) -> str:
        """Take over a change; one that cannot be used is logged, and the old one stays."""
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return ""
        self._stamp = stamp
        try:
            self.current = routing.load(self._file)
        except RoutingError as error:
            log.error("the routing stays as it was: %s", error)
            return ""
        return f"file {self._file}"


class RoutingOfPolicy:
    """The section of the policy in force, as `tocsin.config` tells."""

    def __init__(self, journal: Journal, default: Routing, *, two_person: bool) -> None:
        self._journal, self._default = journal, default
        self._history = History(two_person=two_person)
        self._next: dict[int, int] = {}
        self._version = ""
        self.current = default

    def look(self) -> str:
        """Take over what has come into force; while the broker is away, nothing changes."""
        try:
            for stored in self._journal.read(topics.CONFIG, self._next):
                self._next[stored.partition] = stored.offset + 1
                try:
                    self._history.apply(configuration.decode(stored.value), stored.offset)
                except (RefusedError, msgspec.MsgspecError):  # the sequencer says so once
                    continue
        except KafkaException as error:
            log.warning("the policy cannot be looked up: %s", error.args[0].str())
            return ""
        version = self._history.in_force
        name, text = (version.name, version.policy) if version else ("", "")
        return self._take_over(name, text) if name != self._version else ""

    def _take_over(self, name: str, text: str) -> str:
        self._version = name
        try:
            found = document.read(text).routing
        except PolicyError:  # of another release: the desk refuses such a policy
            log.error("policy %s cannot be read: the routing stays as it was", name)
            return ""
        self.current = self._default if found is None or found.route is None else found
        return f"policy {name or 'none'}"


def open_source(sinks: SinksSettings, journal: Journal, *, two_person: bool) -> RoutingSource:
    """Raises `RoutingError`."""
    if sinks.routing is not None:
        return RoutingFile(sinks.routing)
    source = RoutingOfPolicy(
        journal, routing.everyone(list(sinks.receivers)), two_person=two_person
    )
    source.look()
    return source


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
