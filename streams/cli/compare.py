"""`tocsin compare`: bundles on trial against the active ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from connectors import feedback, topics
from connectors.clock import wall_clock
from connectors.feedback import Feedback
from connectors.journal import Journal, KafkaJournal
from models.rule import alert_rules
from streams.cli.running import settings_of_running
from streams.comparing import Brief, Comparison, brief, outcomes
from streams.errors import UserError
from streams.policy import document
from streams.policy.desk import PolicyDesk
from streams.policy.rules import Rulebook
from streams.settings import Settings

app = typer.Typer()


@app.command()
def compare(
    risk: Annotated[str, typer.Option(help="Only this risk.")] = "",
    days: Annotated[float, typer.Option(help="Only scores of so many days; 0: all.", min=0)] = 0,
    out: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file too.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with a picture to this file too.")
    ] = None,
) -> None:
    """Compare recorded scores of bundles in shadow (worker.shadow) with those of the active ones.

    Both scored the same patients at the same records. The threshold is that of all wards in the
    policy in force. Example: tocsin compare --risk glioma-survival --days 30 --html compare.html
    """
    try:
        from streams import compared, comparing_page  # noqa: PLC0415 - numpy
    except ModuleNotFoundError as error:
        raise UserError(
            f"This needs {error.name}: install the extra with `pip install 'tocsin[models]'`."
        ) from None
    settings = settings_of_running()
    journal = KafkaJournal(settings.kafka)
    try:
        known = outcomes(_actions(journal))
        fire = _thresholds(journal, settings)
        asked = {name: p for name, p in fire.items() if risk in ("", name)}
        comparison = Comparison(asked, known)
        for score in _scores(journal, days):
            comparison.hear(score)
    except KafkaException as error:
        raise UserError(f"Kafka does not answer ({error.args[0].str()}): is it up?") from None
    finally:
        journal.close()
    trials = comparison.trials()
    if not trials:
        raise UserError(
            f"No bundle{f' for {risk}' if risk else ''} has scored in shadow: name its folder in "
            "worker.shadow, start the worker, and wait until a patient is scored."
        )
    found = [compared.report(t, fire[t.risk], known) for t in trials]
    if out is not None:
        out.write_text(json.dumps(found, indent=1) + "\n")
    if html is not None:
        html.write_text(comparing_page.page(list(zip(trials, found, strict=True))))
    for one in found:
        table = Table(title=comparing_page.title(one), show_header=False, title_justify="left")
        for row in comparing_page.rows(one):
            table.add_row(*row)
        Console().print(table)


def _thresholds(journal: Journal, settings: Settings) -> dict[str, float]:
    """Where an alert begins, by the policy in force."""
    rules = alert_rules(settings.worker.bundles, settings.worker.risks)
    desk = PolicyDesk(journal, list(rules.items()), wall_clock, two_person=False)
    name, policy = desk.in_force()
    book = Rulebook(document.read(policy), name)
    return {risk: book.rule(risk, "", rule).fire for risk, rule in rules.items()}


def _scores(journal: Journal, days: float) -> Iterator[Brief]:
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("Reading scores")
        stored = journal.read(
            topics.SCORES,
            {},
            wall_clock() - days * 86_400.0 if days else None,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
        for record in stored:
            try:
                yield brief(record.value)
            except msgspec.MsgspecError:
                continue  # of a later version of the contract: nothing here can be paired with it


def _actions(journal: Journal) -> Iterator[Feedback]:
    for stored in journal.read(topics.FEEDBACK, {}):
        try:
            yield feedback.decode(stored.value)
        except msgspec.MsgspecError:
            continue  # the sequencer has put it in quarantine
