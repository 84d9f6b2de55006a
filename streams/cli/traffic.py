"""`tocsin simulate` and `tocsin replay`: a hospital's traffic, made up or from a public cohort."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from connectors.clock import wall_clock
from connectors.cohorts.physionet2012 import CohortError
from connectors.mllp.client import MllpUnreachableError
from connectors.replay.deliver import Counts, NotDeliveredError, Pace, send_all
from connectors.replay.run import LONGEST_PAUSE_S, CohortName, Replay, plan
from connectors.simulator import run as simulator
from connectors.simulator.disturb import Rates
from streams.cli.running import endpoints
from streams.errors import UserError
from streams.settings import load

app = typer.Typer()
_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)

To = Annotated[str, typer.Option(help="host:port; empty: the server that `tocsin up` started.")]
Connections = Annotated[
    int, typer.Option(min=1, max=64, help="MLLP connections; a patient stays on one of them.")
]


@app.command()
def simulate(
    patients: Annotated[int, typer.Option(min=1, help="Inpatients.")] = 40,
    speed: Annotated[str, typer.Option(help="Hospital seconds per second, or `max`.")] = "60",
    seed: Annotated[int, typer.Option(help="The same seed gives the same hospital.")] = 1,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="At most so many messages a second.")
    ] = None,
    for_s: Annotated[
        float | None, typer.Option("--for", min=1, help="Seconds; default: until Ctrl-C.")
    ] = None,
    to: To = "",
    connections: Connections = 4,
    disturbed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of reports late, corrected, doubled …")
    ] = Rates.disturbed,
    malformed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of reports that arrive broken.")
    ] = Rates.malformed,
) -> None:
    """A simulated hospital's HL7 traffic over MLLP. What lies before its start is sent at once.

    Example: tocsin simulate --patients 40 --speed 60 --for 300
    """
    if disturbed + malformed > 1:
        raise UserError("--disturbed and --malformed together are more than 1: lower one of them.")
    what = simulator.Run(
        patients=patients,
        seed=seed,
        speed=_speed(speed),
        rate=rate,
        duration=for_s,
        connections=connections,
        rates=Rates(disturbed, malformed),
    )
    host, port = _target(to)
    counts = Counts()
    try:
        _run(
            f"{patients} simulated patients, seed {seed}, to {host}:{port}",
            lambda show: simulator.run(what, host, port, progress=show, counts=counts),
        )
    except KeyboardInterrupt:
        _err.print("Stopped.")
        _show(counts)
        return
    _show(counts)
    _check(counts)


@app.command()
def replay(
    cohort: Annotated[CohortName, typer.Argument(help="Which cohort.")],
    data: Annotated[Path, typer.Option(help="Folder with the cohort's files.")],
    speed: Annotated[str, typer.Option(help="Hospital seconds per second, or `max`.")] = "max",
    patients: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many patients.")
    ] = None,
    to: To = "",
    connections: Connections = 4,
    stagger: Annotated[
        float, typer.Option(min=0, help="Seconds from one patient's last event to the next's.")
    ] = 60.0,
    discharge: Annotated[
        bool, typer.Option(help="PhysioNet: discharge each patient at the end of the record.")
    ] = False,
    archive: Annotated[
        str,
        typer.Option(
            help="UCSF-PDGM: DICOMweb root of an archive that gets the radiomics as structured "
            "reports and announces them; TOCSIN_ARCHIVE__USER and __PASSWORD log in."
        ),
    ] = "",
    dicom: Annotated[
        str, typer.Option(help="host:port of notices of the archive; empty: of `tocsin up`.")
    ] = "",
) -> None:
    """A public cohort's patients as live HL7 traffic over MLLP, times moved to end just now.

    Example: tocsin replay mimic3 --data mimic3_demo --speed max
    """
    pace = Pace(speed=_speed(speed), longest_pause=LONGEST_PAUSE_S)
    host, port = _target(to)
    _err.print(f"Reading {cohort} from {data} …")
    try:
        planned = plan(
            cohort,
            data,
            wall_clock(),
            patients=patients,
            stagger=stagger,
            discharge=discharge,
            archive=bool(archive),
        )
    except CohortError as error:
        raise UserError(str(error)) from None
    if archive:
        to_archive(planned, cohort, archive, dicom)
    counts = Counts()
    try:
        _run(
            f"{planned.patients} patients of {cohort} to {host}:{port}",
            lambda show: send_all(
                planned.messages,
                host,
                port,
                connections=connections,
                pace=pace,
                progress=show,
                counts=counts,
            ),
        )
    except KeyboardInterrupt:
        _show(counts, planned)
        raise UserError("Stopped before the end of the replay.") from None
    _show(counts, planned)
    _check(counts)


def to_archive(planned: Replay, cohort: CohortName, url: str, dicom: str) -> None:
    """Store the cohort's reports and announce them."""
    from connectors.replay import radiology  # noqa: PLC0415 - pydicom
    from connectors.replay.archive_delivery import ArchiveError, announce, store  # noqa: PLC0415

    if not planned.studies:
        raise UserError(f"{cohort} has no images among these patients: leave out --archive.")
    settings = load()
    address = dicom or endpoints(settings.home).get("dicom", "")
    if not address.rpartition(":")[2].isdecimal():
        raise UserError("Nobody takes notices of an archive here: name --dicom host:port.")
    authority = cohort.value.upper()
    reports = [radiology.report_of(s.patient, s.at, authority) for s in planned.studies]
    notices = radiology.notice_of((s.patient for s in planned.studies), authority)
    at = settings.archive.model_copy(update={"url": url})
    try:
        with Progress(console=_err, transient=True) as progress:
            task = progress.add_task(f"{len(reports)} reports to {url}", total=len(reports))
            store(at, reports, lambda n: progress.advance(task, n))
        announce(address, settings.imaging.ae_title, notices)
    except ArchiveError as error:
        raise UserError(str(error)) from None
    _err.print(f"{len(reports)} reports are in the archive, and announced at {address}.")


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e6:
        raise UserError(f"--speed {text} is neither a number above 0 nor `max`.")
    return speed


def _target(to: str) -> tuple[str, int]:
    home = load().home
    address = to or endpoints(home).get("mllp")
    if not address:
        raise UserError(f"No MLLP server runs from {home}: name one with --to host:port.")
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65_536):
        raise UserError(f"{address} is no address: write host:port, e.g. 127.0.0.1:2575.")
    return host.strip("[]"), int(port)


def _run(
    title: str, start: Callable[[Callable[[Counts], None]], Coroutine[Any, Any, Counts]]
) -> None:
    """Run it under a progress line."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=_err, transient=True) as progress:
        task = progress.add_task(title)

        def show(counts: Counts) -> None:
            at = (
                f"{datetime.fromtimestamp(counts.time, UTC):%Y-%m-%d %H:%M}" if counts.sent else "…"
            )
            done = f"{counts.acknowledged:,} of {counts.sent:,} acknowledged"
            progress.update(task, description=f"{title}: {at} UTC, {done}")

        try:
            asyncio.run(start(show))
        except MllpUnreachableError as error:
            raise UserError(f"{error} Is `tocsin mllp` running there?") from None


def _show(counts: Counts, planned: Replay | None = None) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("patients", f"{len(counts.patients):,}")
    table.add_row("messages sent", f"{counts.sent:,}")
    for kind, count in sorted(counts.by_type.items()):
        table.add_row(f"  {kind}", f"{count:,}")
    table.add_row("observations sent", f"{counts.observations:,}")
    table.add_row("acknowledged", f"{counts.acknowledged:,}")
    for code, count in sorted(counts.by_code.items()):
        table.add_row(f"  {code or 'no answer asked for'}", f"{count:,}")
    if planned is not None:
        for reason, count in planned.skipped.most_common():
            table.add_row(f"rows not sent: {reason}", f"{count:,}")
    _out.print(table)


def _check(counts: Counts) -> None:
    try:
        counts.check()
    except NotDeliveredError as error:
        raise UserError(str(error)) from None
