"""`tocsin quarantine`: what could not be understood, why, and what to do about it."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from connectors import journal as journal_module
from connectors import wire
from connectors.clock import wall_clock
from connectors.journal import KafkaJournal
from connectors.quarantine_log import Item, QuarantineLog
from streams.cli.interpreting import Interpreter
from streams.cli.person import person
from streams.cli.running import settings_of_running
from streams.errors import UserError
from streams.quarantine_desk import Desk, fits

app = typer.Typer(
    no_args_is_help=True, help="Messages that could not be understood: look, mend, send again."
)

_AUDITED = "recorded in tocsin.audit with your name"
Why = Annotated[str, typer.Option("--why", help=f"The reason, {_AUDITED}.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids, or their first characters.")]
ByReason = Annotated[str, typer.Option("--reason", help="Only this reason, e.g. unsupported_type.")]
BySource = Annotated[str, typer.Option("--source", help="Only this feed, e.g. 'LAB|HOSP'.")]
_PATIENCE_S = 1.0  # what takes longer shows how far it is
_AGO = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@app.command("list")
def list_items(
    reason: ByReason = "",
    source: BySource = "",
    since: Annotated[
        str, typer.Option(help="Only what came since then: 2h, 7d, or 2026-11-24T08:00.")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="Handled items too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List what lies in quarantine, newest last.

    Example: tocsin quarantine list --reason no_patient --since 2h
    """
    start = since_of(since, wall_clock()) if since else None
    with _desk(start) as desk:
        items = [i for i in _items(desk) if fits(i, reason, source, every=every)]
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
    if unmask and not why:
        raise UserError("To see patient data give the reason: --why 'what you need it for'.")
    with _desk() as desk:
        (found,) = _named(desk, [item])
        look = desk.look(found)
        r = found.record
        typer.echo(f"{r.id}\n  {r.reason}{f' at {r.location}' if r.location else ''}: {r.detail}")
        typer.echo(f"  {r.message_type or '?'} from {r.source or '?'}, received {r.received_at}")
        typer.echo(
            f"  {found.state}, seen {found.times} times, wire log {r.wire or 'never reached'}"
        )
        if look.content_type != wire.HL7:
            typer.echo(f"\n{look.size} bytes of {look.content_type}")
        else:
            told = ["", "By the standard:", *(f"  {line}" for line in look.findings)]
            typer.echo("\n".join(told) if look.findings else "")
            lines = look.text.split("\n")
            if unmask:
                raw = desk.unmasked(found, person(), why)
                text = raw.decode("utf-8", "backslashreplace")
                lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            typer.echo("")
            for number, line in enumerate(lines):
                typer.echo(f"{'>' if number == look.marked and not unmask else ' '} {line}")
    if look.obstacle:
        typer.echo(f"\nIt cannot be sent again as it is: {look.obstacle}.")
    else:
        typer.echo(f"\nSent again now it would give: {look.outcome}")


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
    with _desk() as desk:
        (found,) = _named(desk, [item])
        if sum((bool(changes), file is not None, edit)) != 1:
            raise UserError("Say how to mend it: --set, --file or --edit (one of them).")
        if file is not None:
            outcome = desk.mend(found, _from_file(file), person(), why, force=force)
        elif edit:
            desk.unmasked(found, person(), why)
            outcome = desk.mend(found, _edited, person(), why, force=force)
        else:
            outcome = desk.mend(found, changes or [], person(), why, force=force)
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
    with _desk() as desk:
        if ids:
            chosen = _named(desk, ids)
        else:
            found = [i for i in _items(desk) if fits(i, reason, source, every=False)]
            chosen = [i for i in found if not desk.obstacle(i)]
            for left in (i for i in found if desk.obstacle(i)):
                typer.echo(f"Left out, {left.record.id[:12]}: {desk.obstacle(left)}.", err=True)
            if found and not chosen:
                raise UserError("Nothing of that can be sent again as it is.")
        sent = 0
        with typer.progressbar(length=len(chosen), label="Sending") as bar:
            try:
                for _ in desk.redrive(chosen, person(), why):
                    sent += 1
                    bar.update(1)
            except UserError as error:
                raise UserError(f"Stopped after {sent} of {len(chosen)}: {error}") from None
    typer.echo(f"{sent} items sent again. What is still refused comes back: tocsin quarantine list")


@app.command()
def discard(
    ids: Annotated[list[str], typer.Argument(help="Ids, or their first characters.")], why: Why
) -> None:
    """Decide that nothing of a message is needed. Its bytes stay in the log.

    Example: tocsin quarantine discard 3f2a90c1 --why 'a test message of the vendor'
    """
    with _desk() as desk:
        for item in _named(desk, ids):
            desk.discard(item, person(), why)
            typer.echo(f"{item.record.id[:12]} discarded.")


def since_of(text: str, now: float) -> float:
    """`2h` ago, or a moment (ISO 8601, UTC where it names no zone), as epoch seconds."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - int(ago[1]) * _SECONDS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise UserError(
            f"--since {text!r} is no time: give 30m, 2h, 7d, or 2026-11-24T08:00 (UTC)."
        ) from None


def _from_file(file: Path) -> bytes:
    try:
        return file.read_bytes().replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from None


def _edited(raw: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="tocsin-fix-") as folder:  # readable by its owner only
        file = Path(folder) / "message.hl7"
        file.write_bytes(raw.replace(b"\r\n", b"\r").replace(b"\r", b"\n"))
        try:
            subprocess.run(["/bin/sh", "-c", '${EDITOR:-vi} "$1"', "sh", str(file)], check=True)  # noqa: S603
        except subprocess.CalledProcessError:
            raise UserError("The editor ended with an error: nothing was sent.") from None
        return file.read_bytes().replace(b"\n", b"\r")


@contextmanager
def _desk(since: float | None = None) -> Iterator[Desk]:
    settings = settings_of_running()
    journal = KafkaJournal(settings.kafka)
    try:
        yield Desk(QuarantineLog(journal, wall_clock, since), Interpreter(settings))
    finally:
        journal.close()


def _items(desk: Desk) -> list[Item]:
    """All items; whoever waits for a long log sees how far it is."""
    columns = (TextColumn("Reading the quarantine"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        return desk.items(_slowly(bar))


def _slowly(bar: Progress) -> journal_module.Progress:
    task, began = bar.add_task("", visible=False), time.monotonic()

    def tell(done: int, total: int) -> None:
        late = time.monotonic() - began > _PATIENCE_S
        bar.update(task, completed=done, total=total, visible=late)

    return tell


def _named(desk: Desk, wanted: list[str]) -> list[Item]:
    items = _items(desk)
    found = []
    for start in wanted:
        fitting = [i for i in items if i.record.id.startswith(start)]
        if not fitting:
            raise UserError(
                f"No item's id begins with {start}: see `tocsin quarantine list --all`."
            )
        if len(fitting) > 1:
            raise UserError(f"{len(fitting)} ids begin with {start}: give more characters.")
        found += fitting
    return found


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
