"""`tocsin backtest`: a policy tried on what has been."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from connectors.clock import wall_clock
from connectors.journal import KafkaJournal
from models.risk import AlertRule
from models.rule import alert_rules, expiries
from streams import settings as settings_module
from streams.backtest import page as page_module
from streams.backtest.report import Options, compare, report
from streams.backtest.simulate import Question
from streams.backtest.stays import from_predictions
from streams.cli.running import settings_of_running
from streams.errors import UserError
from streams.policy import document
from streams.policy.desk import PolicyDesk, readable
from streams.policy.rules import Rulebook
from streams.settings import Settings

app = typer.Typer()


@app.command()
def backtest(
    policy: Annotated[Path, typer.Argument(help="The policy on trial (YAML).")],
    risk: Annotated[str, typer.Option(help="Whose alerts.")] = "deterioration",
    data: Annotated[
        Path | None,
        typer.Option(help="predictions.csv of `tocsin evaluate`; none: the running system's log."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Policy to compare with; none: what is in force, or as shipped."),
    ] = None,
    horizon_h: Annotated[
        float | None,
        typer.Option("--horizon-h", min=0.1, help="An alert is right if the event comes so soon."),
    ] = None,
    patients_per_nurse: Annotated[float, typer.Option(min=0.1)] = 5.0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.json and report.html.")
    ] = None,
) -> None:
    """What a policy would have raised: over a labelled cohort, or over the log of what has been.

    Example: tocsin backtest proposed.yaml --data out/predictions.csv --out backtest
    """
    options = Options(
        horizon_s=None if horizon_h is None else horizon_h * 3_600.0,
        patients_per_nurse=patients_per_nurse,
    )
    if data is not None:
        found = _over_cohort(policy, against, risk, data, options)
    else:
        found = _over_log(policy, against, risk, options)
    if out is not None:
        _write(out, found)
        typer.echo(f"Written: {out / 'report.json'}, {out / 'report.html'}")
    _show(found)


def _over_cohort(
    policy: Path, against: Path | None, risk: str, data: Path, options: Options
) -> dict[str, Any]:
    settings = settings_module.load()
    rules = rules_of(settings)
    after = _book(policy, rules)
    before = _book(against, rules) if against is not None else Rulebook()
    stays = from_predictions(data)
    return compare(stays, _question(settings, rules, risk), before, after, options)


def _over_log(policy: Path, against: Path | None, risk: str, options: Options) -> dict[str, Any]:
    try:
        from models.bundle import BundleError, load_risks  # noqa: PLC0415  # torch
        from streams.backtest import recorded  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UserError(
            f"This needs {error.name}: install the extra with `pip install 'tocsin[models]'`."
        ) from None
    settings = settings_of_running()
    rules = rules_of(settings)
    question = _question(settings, rules, risk)
    after = _book(policy, rules)
    journal = KafkaJournal(settings.kafka)
    try:
        models = load_risks(settings.worker.bundles, settings.worker.risks)
        desk = PolicyDesk(journal, list(rules.items()), wall_clock, two_person=False)
        version = desk.in_force()[0]
        log = recorded.read_log(journal, settings.kafka.partitions)
        live = recorded.told_live(journal)
    except KafkaException as error:
        raise UserError(f"Kafka does not answer ({error.args[0].str()}): is it up?") from None
    except BundleError as error:
        raise UserError(str(error)) from None
    finally:
        journal.close()
    if not log.count:
        raise UserError("The log holds no facts yet.")

    def run(title: str, text: str | None) -> recorded.Replayed:
        with _progress(title) as progress:
            return asyncio.run(recorded.replayed(log, models, text, progress=progress))

    base = None if against is None else _text(against)
    first = run("What was in force", base)
    second = run("The policy on trial", _text(policy))
    stays = recorded.stays_of(first, risk, log)
    if not len(stays):
        raise UserError(f"The log holds no scores of {risk}.")
    notes = ["Right and wrong are outcomes that the care team has told."]
    if against is None:
        same = sum(first.alerts.get(key) == raw for key, raw in live.items())
        notes.append(
            f"With the policies in the log, {same} of the {len(live)} alert records that were told "
            f"come out again byte for byte, and {len(first.alerts.keys() - live.keys())} others."
        )
    name = (
        str(against) if against else (f"as recorded, now {version}" if version else "as recorded")
    )
    return report(
        stays,
        question,
        (name, first.raised(stays, risk)),
        (str(policy), second.raised(stays, risk)),
        after,
        options,
        notes,
    )


class _progress:  # noqa: N801 - reads as a function
    """A bar while something runs."""

    def __init__(self, title: str) -> None:
        screen = Console(stderr=True)
        self._bar = Progress(console=screen, transient=True, disable=not screen.is_terminal)
        self._task = self._bar.add_task(title)

    def __enter__(self) -> Callable[[int, int], None]:
        self._bar.start()
        return lambda done, total: self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def rules_of(settings: Settings) -> dict[str, AlertRule]:
    """The rules of the bundles. Raises `UserError`."""
    try:
        return alert_rules(settings.worker.bundles, settings.worker.risks)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"The thresholds cannot be read from the bundles: {error}.") from None


def _question(settings: Settings, rules: Mapping[str, AlertRule], risk: str) -> Question:
    if risk not in rules:
        raise UserError(f"There is no risk {risk} here; there are: {', '.join(sorted(rules))}.")
    try:
        expires = expiries(settings.worker.bundles, [risk])[risk]
    except ValueError as error:
        raise UserError(f"{error}.") from None
    return Question(risk, rules[risk], expires)


def _book(file: Path, rules: Mapping[str, AlertRule]) -> Rulebook:
    text = _text(file)
    readable(text, list(rules.items()))
    return Rulebook(document.read(text), str(file))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({type(error).__name__}).") from None


def _write(out: Path, found: dict[str, Any]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(json.dumps(found, indent=1) + "\n")
        (out / "report.html").write_text(page_module.page(found))
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}).") from None


def _show(found: dict[str, Any]) -> None:
    table = Table("", found["before"]["policy"], found["after"]["policy"])
    for name in (
        "alerts",
        "alerts_per_patient_day",
        "ppv",
        "sensitivity",
        "lead_time_h",
        "calls_per_nurse_and_hour",
    ):
        table.add_row(name, *(_plain(found[side]["all"][name]) for side in ("before", "after")))
    only = found["differences"]
    Console().print(table)
    typer.echo(f"No longer alerted: {len(only['no_longer'])}. Newly: {len(only['newly'])}.")
    for note in found["notes"]:
        typer.echo(note)


def _plain(said: object) -> str:
    return page_module.value(said).replace("<small>", "").replace("</small>", "")
