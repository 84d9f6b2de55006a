"""`tocsin thresholds`: the alert policy, from a file to what is in force, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from connectors.clock import iso, wall_clock
from connectors.configuration import Version
from connectors.contract import AlertState, Severity
from connectors.journal import KafkaJournal
from models.risk import AlertRule
from streams import settings as settings_module
from streams.cli.backtesting import rules_of
from streams.cli.person import person
from streams.cli.running import settings_of_running
from streams.errors import UserError
from streams.policy import document
from streams.policy.desk import PolicyDesk, notes_on, readable
from streams.policy.rules import Case, Code, Rulebook
from streams.policy.trying import try_out

app = typer.Typer(help="The alert policy: thresholds, silences, escalation, stages.")

Why = Annotated[str, typer.Option("--reason", help="For whoever reads the history.")]
FileArgument = Annotated[Path, typer.Argument(help="A policy (YAML).")]
VersionArgument = Annotated[str, typer.Argument(help="A version, or its number.")]


@app.command()
def show(
    text: Annotated[bool, typer.Option("--text", help="The policy as it was written.")] = False,
) -> None:
    """What is in force: each risk's thresholds, and the policy they come from.

    Example: tocsin thresholds show
    """
    with _desk() as (desk, rules):
        name, policy = desk.in_force()
        if text:
            typer.echo(policy, nl=False)
            return
        book = Rulebook(document.read(policy), name)
        table = Table("risk", "wards", "fire", "clear", "critical", "confirmed by", "from")
        for risk, shipped in rules.items():
            said = book.policy.risks.get(risk)
            for ward in ("", *(said.wards if said else ())):
                rule = book.rule(risk, ward, shipped)
                confirm = f"{rule.scores} of {rule.of}" if rule.of > 1 else "1 score"
                confirm += f", {rule.lasting_s / 60:g} min" if rule.lasting_s else ""
                numbers = [f"{v:g}" for v in (rule.fire, rule.clear, rule.critical)]
                table.add_row(risk, ward or "all", *numbers, confirm, rule.version)
        Console().print(table)


@app.command()
def check(file: FileArgument) -> None:
    """Can this policy be used? Needs no running system. Example: tocsin thresholds check p.yaml"""
    settings = settings_module.load()
    policy = readable(_text(file), list(rules_of(settings).items()), settings.sinks.receivers)
    _say(notes_on(policy, wall_clock()))
    typer.echo(f"{file} can be used.")


@app.command()
def diff(file: FileArgument) -> None:
    """What this policy changes, line by line. Example: tocsin thresholds diff p.yaml"""
    with _desk() as (desk, _):
        checked = desk.check(_text(file))
    _say(checked.notes)
    typer.echo("\n".join(checked.diff) if checked.diff else "It says what is in force.")


@app.command()
def propose(file: FileArgument, reason: Why) -> None:
    """Write a version down. Example: tocsin thresholds propose p.yaml --reason 'fewer at night'"""
    with _desk() as (desk, _):
        text = _text(file)
        _say(desk.check(text).notes)
        version = desk.propose(text, who=person(), reason=reason)
    typer.echo(
        f"Version {version.name} is proposed. Next: tocsin thresholds approve "
        f"{version.name.partition('-')[0]}"
    )


@app.command()
def approve(version: VersionArgument, reason: Why = "") -> None:
    """Stand for a version. Example: tocsin thresholds approve 7"""
    with _desk() as (desk, _):
        done = desk.approve(version, who=person(), reason=reason)
    typer.echo(f"Version {done.name} is approved.")


@app.command()
def reject(version: VersionArgument, reason: Why) -> None:
    """It will not come into force. Example: tocsin thresholds reject 7 --reason 'too many'"""
    with _desk() as (desk, _):
        done = desk.reject(version, who=person(), reason=reason)
    typer.echo(f"Version {done.name} is rejected.")


@app.command()
def activate(version: VersionArgument, reason: Why = "") -> None:
    """Bring a version into force, without a restart. Example: tocsin thresholds activate 7"""
    with _desk() as (desk, _):
        done = desk.activate(version, who=person(), reason=reason)
    typer.echo(f"Version {done.name} is in force as soon as the sequencer has read it.")


@app.command("roll-back")
def roll_back(reason: Why) -> None:
    """Take back what is in force. Example: tocsin thresholds roll-back --reason 'missed one'"""
    with _desk() as (desk, _):
        taken, again = desk.roll_back(who=person(), reason=reason)
    counts = f"version {again.name}" if again else "what the bundles ship with"
    typer.echo(f"Version {taken.name} is taken back; {counts} counts again.")


@app.command()
def history(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a version.")] = False,
    diffs: Annotated[bool, typer.Option("--diff", help="With what each changed.")] = False,
) -> None:
    """Every version, with author, reason and state. Example: tocsin thresholds history --diff"""
    with _desk() as (desk, _):
        versions = list(desk.history().versions.values())
    if as_json:
        for version in versions:
            typer.echo(json.dumps(_to_json(version)))
        return
    if not versions:
        typer.echo("No version was ever proposed: the thresholds are those of the bundles.")
    for version in versions:
        at = iso(version.proposed_at)
        typer.echo(f"{version.name}  {version.state}  {version.author}  {at}  {version.reason}")
        for event in version.events[1:]:
            typer.echo(f"    {event.step} by {event.who} at {iso(event.at)}  {event.reason}")
        if diffs:
            typer.echo("\n".join(f"    {line}" for line in version.diff))


@app.command()
def test(
    file: Annotated[Path | None, typer.Argument(help="A policy; none: what is in force.")] = None,
    risk: Annotated[str, typer.Option(help="The alert's risk.")] = "deterioration",
    ward: Annotated[str, typer.Option(help="Where the patient lies.")] = "",
    bed: Annotated[str, typer.Option(help="The bed.")] = "",
    severity: Annotated[Severity, typer.Option(help="How urgent.")] = Severity.WARNING,
    state: Annotated[AlertState, typer.Option(help="Where it is in its life.")] = AlertState.FIRING,
    code: Annotated[
        list[str] | None, typer.Option(help="Statements in force, e.g. Z51.5 or I10:Z51.5.")
    ] = None,
    at: Annotated[str, typer.Option(help="When (ISO 8601 with a zone); default: now.")] = "",
) -> None:
    """Who would be told of an alert, what would hold it back, and who comes next.

    Example: tocsin thresholds test p.yaml --ward W1 --severity critical
    """
    if file is None:
        with _desk() as (desk, rules):
            name, text = desk.in_force()
    else:
        rules = rules_of(settings_module.load())
        name, text = str(file), _text(file)
        readable(text, list(rules.items()))
    if risk not in rules:
        raise UserError(f"There is no risk {risk}; there are: {', '.join(sorted(rules))}.")
    book = Rulebook(document.read(text), name)
    case = _case(risk, ward, severity, code)
    for line in try_out(book, rules[risk], case, state, bed, _moment(at)):
        typer.echo(line)


def _say(notes: list[str]) -> None:
    for note in notes:
        typer.echo(note, err=True)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({type(error).__name__}).") from None


def _case(risk: str, ward: str, severity: Severity, codes: list[str] | None) -> Case:
    found = [Code(c.rpartition(":")[2], c.rpartition(":")[0]) for c in codes or ()]
    return Case("", risk, ward, severity, lambda: found)


def _moment(at: str) -> float:
    if not at:
        return wall_clock()
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise UserError(f"--at {at!r} is no time: write e.g. 2026-11-30T07:00+01:00.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _to_json(version: Version) -> dict[str, object]:
    return {
        "version": version.name,
        "state": version.state,
        "author": version.author,
        "proposed_at": iso(version.proposed_at),
        "reason": version.reason,
        "base": version.base,
        "approved_by": version.approved_by,
        "diff": version.diff,
        "policy": version.policy,
        "steps": [
            {"step": e.step, "who": e.who, "at": iso(e.at), "reason": e.reason}
            for e in version.events
        ],
    }


@contextmanager
def _desk() -> Iterator[tuple[PolicyDesk, dict[str, AlertRule]]]:
    settings = settings_of_running()
    rules = rules_of(settings)
    journal = KafkaJournal(settings.kafka)
    desk = PolicyDesk(
        journal,
        list(rules.items()),
        wall_clock,
        two_person=settings.policy.two_person,
        receivers=settings.sinks.receivers,
    )
    try:
        yield desk, rules
    finally:
        journal.close()
