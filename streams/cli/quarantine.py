"""`tocsin quarantine`: what could not be understood, why, and what to do about it."""

from __future__ import annotations

import getpass
import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from connectors import wire
from connectors.clock import wall_clock
from connectors.hl7.conformance import explain
from connectors.identity import load_key
from connectors.interpret import interpret
from connectors.interpretation import Interpretation
from connectors.masking import masked
from connectors.quarantine_log import Item, LostError, QuarantineLog, State
from connectors.sequencer import headers_of
from connectors.topics import HEADER_CONTENT_TYPE, HEADER_SOURCE, HEADER_SUBJECT
from connectors.wire import WireMessage
from streams.cli.errors import UserError
from streams.cli.running import settings_of_running
from streams.cli.sources import open_site
from streams.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="Messages that could not be understood: look, mend, send again."
)

_AUDITED = "recorded in tocsin.audit with your name"
Why = Annotated[str, typer.Option("--why", help=f"The reason, {_AUDITED}.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids, or their first characters.")]
ByReason = Annotated[str, typer.Option("--reason", help="Only this reason, e.g. unsupported_type.")]
BySource = Annotated[str, typer.Option("--source", help="Only this feed, e.g. 'LAB|HOSP'.")]
_SETTING = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?-(\d+)=(.*)", re.DOTALL)


@app.command("list")
def list_items(
    reason: ByReason = "",
    source: BySource = "",
    every: Annotated[bool, typer.Option("--all", help="Handled items too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List what lies in quarantine, newest last.

    Example: tocsin quarantine list --reason no_patient
    """
    _, log = _log()
    items = [i for i in _items(log) if every or i.state is State.OPEN]
    items = [i for i in items if _fits(i, reason, source)]
    if as_json:
        for item in items:
            typer.echo(json.dumps(_to_json(item), ensure_ascii=False))
        return
    if not items:
        typer.echo("Nothing is in quarantine.")
        return
    table = Table(box=None, header_style="bold")
    for column in ("id", "reason", "where", "message", "source", "received", "times", "state"):
        table.add_column(column)
    for item in items:
        r = item.record
        where = r.location or ("a part" if r.partial else "all of it")
        table.add_row(
            r.id[:12],
            r.reason,
            where,
            r.message_type or "?",
            r.source,
            r.received_at,
            str(item.times),
            item.state,
        )
    Console(soft_wrap=True).print(table)
    typer.echo(f"{len(items)} items. Next: tocsin quarantine show {items[-1].record.id[:12]}")


@app.command()
def show(
    item: Annotated[str, typer.Argument(help="Its id, or the first characters of it.")],
    unmask: Annotated[bool, typer.Option(help=f"Show patient data; {_AUDITED}.")] = False,
    why: Why = "",
) -> None:
    """Show one item: what is wrong in words, and the message with what names people hidden.

    Example: tocsin quarantine show 3f2a90c1
    """
    settings, log = _log()
    found = _one(log, item)
    if unmask and not why:
        raise UserError("To see patient data give the reason: --why 'what you need it for'.")
    raw, headers = _raw(log, found)
    r = found.record
    typer.echo(f"{r.id}\n  {r.reason}{f' at {r.location}' if r.location else ''}: {r.detail}")
    typer.echo(f"  {r.message_type or '?'} from {r.source or '?'}, received {r.received_at}")
    typer.echo(f"  {found.state}, seen {found.times} times, wire log {r.wire or 'never reached'}")
    content = headers_of(headers).get(HEADER_CONTENT_TYPE, wire.HL7)
    if content != wire.HL7:
        typer.echo(f"\n{len(raw)} bytes of {content}")
    else:
        told = explain(raw)
        typer.echo(
            "\n".join(["", "By the standard:", *(f"  {line}" for line in told)]) if told else ""
        )
        if unmask:
            _tried(lambda: log.note_unmasked(found, getpass.getuser(), why))
        text = raw.decode("utf-8", "backslashreplace") if unmask else masked(raw)
        typer.echo("\n" + text.replace("\r\n", "\n").replace("\r", "\n"))
    now = [_outcome(read) for read in _interpreted(settings, raw, headers)]
    typer.echo(f"\nSent again now it would give: {'; '.join(now)}")


@app.command()
def fix(
    item: Annotated[str, typer.Argument(help="Its id, or the first characters of it.")],
    why: Why,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="A field anew, e.g. 'PID-3=4711^^^HOSP^MR' or 'OBX[2]-5=4.1'."),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The whole message from a file.")] = None,
    edit: Annotated[bool, typer.Option(help="Open it in $EDITOR (shows patient data).")] = False,
    force: Annotated[bool, typer.Option(help="Send it even if it is still refused.")] = False,
) -> None:
    """Mend a message and send it again. The original stays in the log.

    Example: tocsin quarantine fix 3f2a90c1 --set 'PID-3=4711^^^HOSP^MR' --why 'number was missing'
    """
    settings, log = _log()
    found = _one(log, item)
    raw, headers = _raw(log, found)
    if sum((bool(changes), file is not None, edit)) != 1:
        raise UserError("Say how to mend it: --set, --file or --edit (one of them).")
    if changes:
        mended = raw
        for change in changes:
            mended = with_field(mended, change)
    elif file is not None:
        try:
            mended = file.read_bytes().replace(b"\r\n", b"\r").replace(b"\n", b"\r")
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}.") from None
    else:
        _tried(lambda: log.note_unmasked(found, getpass.getuser(), why))
        mended = _edited(raw)
    if mended == raw:
        raise UserError("Nothing is changed: to send it again as it is, use `redrive`.")
    reads = _interpreted(settings, mended, headers)
    outcome = "; ".join(_outcome(read) for read in reads)
    if any(read.outcome == "quarantine" for read in reads) and not force:
        raise UserError(f"It would be refused again: {outcome}. Mend that too, or use --force.")
    _tried(lambda: list(log.redrive([found], getpass.getuser(), why, mended)))
    typer.echo(f"Sent again: {outcome}.")


@app.command()
def redrive(
    ids: Ids = None,
    reason: ByReason = "",
    source: BySource = "",
    everything: Annotated[bool, typer.Option("--all", help="Every open item.")] = False,
    why: Why = "",
) -> None:
    """Send messages again as they were received, in the order in which they came.

    For after a code map, a setting or Tocsin itself was mended. Twice is harmless.

    Example: tocsin quarantine redrive --reason unsupported_type --why 'now understood'
    """
    if not (ids or reason or source or everything):
        raise UserError("Say what to send again: ids, --reason, --source or --all.")
    _, log = _log()
    if ids:
        chosen = [_one(log, wanted) for wanted in ids]
    else:
        chosen = [i for i in _items(log) if i.state is State.OPEN and _fits(i, reason, source)]
    sent = 0
    with typer.progressbar(length=len(chosen), label="Sending") as bar:
        try:
            for _ in log.redrive(chosen, getpass.getuser(), why):
                sent += 1
                bar.update(1)
        except (KafkaException, LostError) as error:
            raise UserError(f"Stopped after {sent} of {len(chosen)}: {_words(error)}") from None
    typer.echo(f"{sent} items sent again. What is still refused comes back: tocsin quarantine list")


@app.command()
def discard(
    ids: Annotated[list[str], typer.Argument(help="Ids, or their first characters.")], why: Why
) -> None:
    """Decide that nothing of a message is needed. Its bytes stay in the log.

    Example: tocsin quarantine discard 3f2a90c1 --why 'a test message of the vendor'
    """
    _, log = _log()
    for item in [_one(log, wanted) for wanted in ids]:
        _tried(lambda item=item: log.discard(item, getpass.getuser(), why))  # type: ignore[misc]
        typer.echo(f"{item.record.id[:12]} discarded.")


def with_field(raw: bytes, change: str) -> bytes:
    """A message with one field anew, by `SEG[n]-F=value`. Raises `UserError`."""
    parsed = _SETTING.fullmatch(change)
    if parsed is None:
        raise UserError(f"{change!r} does not say which field: e.g. 'PID-3=4711^^^HOSP^MR'.")
    name, occurrence, number, value = parsed.groups()
    # Latin-1 takes every byte through unchanged.
    lines = raw.decode("latin-1").replace("\r\n", "\r").replace("\n", "\r").split("\r")
    separator = lines[0][3:4] or "|"
    places = [n for n, line in enumerate(lines) if line.startswith(name + separator)]
    at = int(occurrence or 1)
    if not 1 <= at <= len(places):
        raise UserError(f"The message has no {name}[{at}].")
    fields = lines[places[at - 1]].split(separator)
    index = int(number) - (1 if name == "MSH" else 0)
    if index < 1 or index > 200:
        raise UserError(f"{name}-{number} cannot be set.")
    fields += [""] * (index + 1 - len(fields))
    fields[index] = value.encode().decode("latin-1")
    lines[places[at - 1]] = separator.join(fields)
    return "\r".join(lines).encode("latin-1")


def _edited(raw: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="tocsin-fix-") as folder:  # readable by its owner only
        file = Path(folder) / "message.hl7"
        file.write_bytes(raw.replace(b"\r\n", b"\r").replace(b"\r", b"\n"))
        try:
            subprocess.run(["/bin/sh", "-c", '${EDITOR:-vi} "$1"', "sh", str(file)], check=True)  # noqa: S603
        except subprocess.CalledProcessError:
            raise UserError("The editor ended with an error: nothing was sent.") from None
        return file.read_bytes().replace(b"\n", b"\r")


def _log() -> tuple[Settings, QuarantineLog]:
    settings = settings_of_running()
    return settings, QuarantineLog(settings.kafka, wall_clock)


def _items(log: QuarantineLog) -> list[Item]:
    found: list[Item] = []
    _tried(lambda: found.extend(log.items()))
    return found


def _one(log: QuarantineLog, wanted: str) -> Item:
    found = [i for i in _items(log) if i.record.id.startswith(wanted)]
    if not found:
        raise UserError(f"No item's id begins with {wanted}: see `tocsin quarantine list --all`.")
    if len(found) > 1:
        raise UserError(f"{len(found)} ids begin with {wanted}: give more characters.")
    return found[0]


def _raw(log: QuarantineLog, item: Item) -> tuple[bytes, list[tuple[str, bytes]]]:
    try:
        return log.raw(item)
    except (KafkaException, LostError) as error:
        raise UserError(_words(error)) from None


def _tried(step: Callable[[], object]) -> None:
    try:
        step()
    except (KafkaException, LostError) as error:
        raise UserError(_words(error)) from None


def _words(error: KafkaException | LostError) -> str:
    if isinstance(error, LostError):
        return f"The bytes are gone: {error}. The retention of the wire log decides how long."
    return f"Kafka does not answer ({error.args[0].str()}): is it up?"


def _interpreted(
    settings: Settings, raw: bytes, headers: list[tuple[str, bytes]]
) -> list[Interpretation]:
    said = headers_of(headers)
    message = WireMessage(
        raw,
        "",
        wall_clock(),
        said.get(HEADER_SOURCE, ""),
        "",
        said.get(HEADER_CONTENT_TYPE, "") or wire.HL7,
        said.get(HEADER_SUBJECT, ""),
    )
    key = load_key(settings.identity.key.get_secret_value(), settings.home)
    site = open_site(settings)
    return interpret(message, key, site)


def _outcome(read: Interpretation) -> str:
    if read.outcome == "facts":
        return f"{len(read.facts)} facts" + (
            f", {len(read.issues)} parts not" if read.issues else ""
        )
    where = f" at {read.issues[0].location}" if read.issues and read.issues[0].location else ""
    return f"{read.outcome}, {read.reason}{where}"


def _fits(item: Item, reason: str, source: str) -> bool:
    return reason in ("", item.record.reason) and source in ("", item.record.source)


def _to_json(item: Item) -> dict[str, object]:
    r = item.record
    return {
        "id": r.id,
        "state": item.state,
        "reason": r.reason,
        "detail": r.detail,
        "location": r.location,
        "partial": r.partial,
        "message_type": r.message_type,
        "source": r.source,
        "received_at": r.received_at,
        "wire": r.wire,
        "times": item.times,
    }
