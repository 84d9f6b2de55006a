"""What Tocsin makes of messages in files, without any server: `tocsin parse`, `tocsin fold`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from connectors import wire
from connectors.clock import wall_clock
from connectors.facts import MessageFacts
from connectors.interpretation import Interpretation
from connectors.mllp.files import messages_of
from connectors.wire import WireMessage
from models.patient import Patient, settle
from streams import settings as settings_module
from streams.cli.interpreting import Interpreter
from streams.errors import UserError

app = typer.Typer()

Files = Annotated[
    list[Path],
    typer.Argument(help="HL7 v2, one or many in each; FHIR JSON, VCF, BED or DICOM, one in each."),
]
Subject = Annotated[
    str, typer.Option(help="authority|type|number of the patient, where a file names none.")
]
ContentType = Annotated[
    str,
    typer.Option(help='Instead of what a file looks like, e.g. "text/x-vcf; assembly=GRCh38".'),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def _interpret(
    files: list[Path], subject: str = "", content_type: str = ""
) -> Iterator[tuple[Path, Interpretation]]:
    interpreter = Interpreter(settings_module.load())
    now = wall_clock()
    for file in files:
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}.") from None
        content = content_type or wire.looks_like(raw, file.name)
        messages = messages_of(raw) if content == wire.HL7 else [raw]
        if not messages:
            typer.echo(f"{file} holds no message.", err=True)
        for message in messages:
            record = WireMessage(message, "", now, "", "", content, subject=subject)
            for read in interpreter.read(record):
                yield file, read


def _to_json(file: Path, read: Interpretation) -> dict[str, Any]:
    return {
        "file": str(file),
        "outcome": read.outcome,
        "reason": read.reason or None,
        "message_type": read.message_type,
        "control_id": read.control_id,
        "patient": read.pseudonym or None,
        "patients": [about.pseudonym for about in read.patients],
        "facts": [
            {"patient": about.pseudonym, **msgspec.to_builtins(fact)}
            for about in read.patients
            for fact in about.facts
        ],
        "issues": [
            {"reason": i.reason, "detail": i.detail, "location": i.location} for i in read.issues
        ],
    }


@app.command()
def parse(
    files: Files, as_json: AsJson = False, subject: Subject = "", content_type: ContentType = ""
) -> None:
    """Show what Tocsin makes of each message, one line a message.

    Example: tocsin parse messages/*.hl7 --json
    """
    for file, read in _interpret(files, subject, content_type):
        if as_json:
            typer.echo(json.dumps(_to_json(file, read), ensure_ascii=False))
            continue
        what = f"{len(read.facts)} facts" if read.outcome == "facts" else read.reason
        typer.echo(f"{read.outcome:10} {read.message_type or '?':12} {what:24} {file}")
        for issue in read.issues:
            typer.echo(f"{'':10} {issue.location:12} {issue.reason}: {issue.detail}")


@app.command()
def fold(
    files: Files, as_json: AsJson = False, subject: Subject = "", content_type: ContentType = ""
) -> None:
    """Show the patients' state after all those messages, in whatever order they come.

    Example: tocsin fold admission.hl7 labs.hl7 --json
    """
    patients: dict[str, Patient] = {}
    told: list[MessageFacts] = []
    for file, read in _interpret(files, subject, content_type):
        if not read.facts:
            what = f"{read.message_type or 'a message'}: {read.outcome}, {read.reason}"
            typer.echo(f"Not folded, {what} ({file})", err=True)
            continue
        told.extend(
            MessageFacts(
                patient=about.pseudonym, sent=read.sent, heard=read.sent, wire="", facts=about.facts
            )
            for about in read.patients
        )
    for _ in settle(patients, told):
        pass
    for pseudonym in sorted(patients):
        patient = patients[pseudonym]
        record = patient.record
        if as_json:
            state = json.loads(patient.canonical())
            line = {"patient": pseudonym, "digest": patient.digest(), "state": state}
            typer.echo(json.dumps(line, ensure_ascii=False))
        else:
            counted = sum(len(record.series(code)) for code in record.codes())
            presence = record.presence(record.clock)
            typer.echo(
                f"{pseudonym}  {presence:10} {len(patient.own)} facts, {counted} observations "
                f"count  {patient.digest()[:16]}"
            )
