"""`tocsin sources`: how each feed is read, whether it is alive, and letting it go on."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka import KafkaException
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from connectors import feed_state, feeds, topics
from connectors.clock import iso, wall_clock
from connectors.feed_state import SourceState
from connectors.journal import KafkaJournal
from connectors.settings import IdentitySettings, SequencerSettings
from connectors.site import Site, SiteError
from streams.cli.person import person
from streams.cli.running import settings_of_running
from streams.errors import UserError
from streams.settings import Settings

app = typer.Typer(no_args_is_help=True, help="How each feed is read, and how it is doing.")

_TIMEOUT_S = 5


def open_site(settings: Settings) -> Site:
    """The sources of these settings. Raises `UserError`."""
    try:
        return Site(settings.sequencer, settings.identity)
    except SiteError as error:
        raise UserError(f"{error}. `tocsin sources check FILE` tries it out.") from None


@app.callback()
def _group() -> None:
    """How each feed is read, and how it is doing."""


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The site file.")]) -> None:
    """Check a site file and the files of codes that it names.

    Example: tocsin sources check site.yaml
    """
    try:
        site = Site(SequencerSettings(site=file), IdentitySettings())
    except SiteError as error:
        raise UserError(f"{error}.") from None
    before: list[str] = []
    for match, profile, feed in site.rules:
        parts = [
            profile.time_zone,
            f"charset {profile.charset or 'of MSH-18'}",
            f"{len(profile.codes.meanings)} codes",
            f"{len(profile.codes.units)} units",
            f"answers: {feed.acknowledgement}",
        ]
        if feed.expected_per_hour is not None:
            longest = feeds.longest_silence_s(feed.expected_per_hour)
            parts.append(f"silent after {_span(longest)}")
        if feed.quarantine_limit is not None:
            parts.append(
                f"paused above {feed.quarantine_limit:.0%} of {feed.quarantine_window} messages"
            )
        hiding = next((m for m in before if fnmatchcase(match, m)), None)
        if hiding is not None:
            parts.append(f"NEVER USED, since {hiding} comes first")
        typer.echo(f"{match:24} {', '.join(parts)}")
        before.append(match)
    typer.echo(f"{file} is right: {len(site.rules)} sources.")


@app.command("list")
def list_sources(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List every source that was heard: how much comes from it, and what is wrong.

    Example: tocsin sources list
    """
    settings = settings_of_running()
    now = wall_clock()
    try:
        found = feed_state.overview(_redis(settings), open_site(settings), now)
    except RedisError as error:
        raise _redis_away(error) from None
    if as_json:
        for state in found:
            typer.echo(json.dumps(_to_json(state), ensure_ascii=False))
        return
    if not found:
        typer.echo("No source has been heard yet.")
        return
    table = Table(box=None, header_style="bold")
    for column in ("source", "last heard", "an hour", "expected", "quarantined", "state"):
        table.add_column(column)
    for state in found:
        expected = state.expected_per_hour
        table.add_row(
            state.source,
            "never" if state.heard is None else f"{_span(max(now - state.heard, 0.0))} ago",
            f"{state.per_hour:.0f}",
            "" if expected is None else f"{expected:g}",
            f"{state.quarantined:.0%}",
            _words(state, now),
        )
    Console(soft_wrap=True, markup=False, highlight=False).print(table)


@app.command()
def resume(
    source: Annotated[str, typer.Argument(help="As `tocsin sources list` names it.")],
    why: Annotated[str, typer.Option("--why", help="What was mended; recorded with your name.")],
) -> None:
    """Take messages of a paused source in again.

    Example: tocsin sources resume 'LAB|HOSP' --why 'the engine sends PID-3 again'
    """
    with _audited(f"{source} stays paused") as (redis, audit):
        done = feed_state.resume(redis, audit, source, person(), why, wall_clock())
    if not done:
        raise UserError(f"{source} is not paused: see `tocsin sources list`.")
    typer.echo(f"{source} is taken in again within seconds; its sender repeats what was refused.")
    typer.echo(f"What is in quarantine: tocsin quarantine redrive --source {shlex.quote(source)}")


@app.command()
def forget(
    source: Annotated[str, typer.Argument(help="A source, or several by * and ?.")],
    why: Annotated[str, typer.Option("--why", help="The reason; recorded with your name.")],
) -> None:
    """Drop sources that are no more from the list. One that speaks again comes back.

    Example: tocsin sources forget 'OLDLAB|*' --why 'the old laboratory was shut down'
    """
    with _audited("Nothing was forgotten") as (redis, audit):
        found = feed_state.forget(redis, audit, source, person(), why, wall_clock())
    if not found:
        raise UserError(f"No source is called {source}: see `tocsin sources list`.")
    typer.echo(f"Forgotten: {', '.join(found)}.")


@contextmanager
def _audited(otherwise: str) -> Iterator[tuple[Redis, Callable[[bytes], None]]]:
    """Redis, and where to write down what is done. `otherwise`: what is so if that fails."""
    settings = settings_of_running()
    try:
        yield _redis(settings), _audit(settings)
    except RedisError as error:
        raise _redis_away(error) from None
    except KafkaException as error:
        raise UserError(
            f"{otherwise}: Kafka does not take the audit record ({error.args[0].str()}). Is it up?"
        ) from None


def _audit(settings: Settings) -> Callable[[bytes], None]:
    journal = KafkaJournal(settings.kafka)

    def audit(record: bytes) -> None:
        journal.append(topics.AUDIT, record, [])

    return audit


def _redis(settings: Settings) -> Redis:
    url = settings.redis.url.get_secret_value()
    return Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)


def _redis_away(error: RedisError) -> UserError:
    return UserError(f"Redis does not answer ({type(error).__name__}): is it up?")


def _words(state: SourceState, now: float) -> str:
    if state.paused is not None:
        return f"paused: {state.paused.quarantined} of {state.paused.of} quarantined"
    if state.silent_since is not None:
        return f"silent for {_span(now - state.silent_since)}"
    return "ok"


def _span(seconds: float) -> str:
    """Roughly, in the unit that fits."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _to_json(state: SourceState) -> dict[str, object]:
    pause = state.paused
    return {
        "source": state.source,
        "heard": None if state.heard is None else iso(state.heard),
        "per_hour": round(state.per_hour, 1),
        "expected_per_hour": state.expected_per_hour,
        "quarantined": round(state.quarantined, 4),
        "silent_since": None if state.silent_since is None else iso(state.silent_since),
        "paused_since": None if pause is None else iso(pause.since),
    }
