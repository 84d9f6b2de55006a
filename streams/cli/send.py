"""`tocsin send`: messages from files over MLLP, with the answers shown."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from connectors.mllp.client import Answer, MllpClient, MllpUnreachableError
from connectors.mllp.files import messages_of
from streams.cli.running import endpoints
from streams.errors import UserError
from streams.settings import Settings, load

app = typer.Typer()

_CONNECT_S = 5.0


class _Target(NamedTuple):
    host: str
    port: int


@app.command()
def send(
    files: Annotated[list[Path], typer.Argument(help="HL7 v2 files, one or more messages each.")],
    to: Annotated[
        str, typer.Option(help="host:port; empty: the server that `tocsin up` started.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 60.0,
    tls_ca: Annotated[
        Path | None, typer.Option(help="Use TLS, and trust this CA (PEM file).")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Own certificate and key for TLS (one PEM file).")
    ] = None,
) -> None:
    """Send messages over MLLP and show each answer. Exits with 1 when one was refused.

    Example: tocsin send admission.hl7 results.hl7 --to 127.0.0.1:2575
    """
    target = _target(to)
    messages = list(_messages(files))
    tls = _tls(tls_ca, tls_cert)
    try:
        refused = asyncio.run(_send(messages, target, tls, timeout, as_json))
    except MllpUnreachableError as error:
        raise UserError(f"{error} Is `tocsin mllp` running there?") from None
    except ssl.SSLError as error:
        raise UserError(
            f"No TLS connection to {target.host}:{target.port}: {error.reason or error}."
        ) from None
    raise typer.Exit(1 if refused else 0)


def _target(to: str) -> _Target:
    host, colon, port = (to or _running(load())).rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65_536):
        raise UserError(f"--to {to} is no address: write host:port, e.g. 127.0.0.1:2575.")
    return _Target(host.strip("[]"), int(port))


def _running(settings: Settings) -> str:
    address = endpoints(settings.home).get("mllp")
    if address is None:
        raise UserError(f"No MLLP server runs from {settings.home}: name one with --to host:port.")
    return address


def _messages(files: list[Path]) -> Iterator[tuple[Path, int, bytes]]:
    for file in files:
        try:
            found = messages_of(file.read_bytes())
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}.") from None
        if not found:
            raise UserError(f"{file} holds no message.")
        for number, raw in enumerate(found, 1):
            yield file, number, raw


def _tls(ca: Path | None, certificate: Path | None) -> ssl.SSLContext | None:
    if ca is None and certificate is None:
        return None
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(certificate)
    except OSError as error:  # ssl.SSLError is one
        raise UserError(f"the TLS files cannot be used: {error}.") from None
    return context


async def _send(
    messages: list[tuple[Path, int, bytes]],
    target: _Target,
    tls: ssl.SSLContext | None,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Send in order, pipelined; show each answer as it comes. How many were not accepted."""
    refused = 0
    async with MllpClient(*target, tls=tls, patience_s=_CONNECT_S) as client:

        async def one(file: Path, number: int, raw: bytes) -> bool:
            try:
                async with asyncio.timeout(timeout_s):
                    answer = await client.send(raw)
            except TimeoutError:
                _show_silence(file, number, timeout_s, as_json)
                return False
            _show(file, number, answer, as_json)
            return answer.accepted

        accepted = await asyncio.gather(*(one(*message) for message in messages))
        refused = accepted.count(False)
    return refused


def _show(file: Path, number: int, answer: Answer, as_json: bool) -> None:
    ms = round(answer.seconds * 1_000, 2)
    if as_json:
        _json(file, number, answer.code, answer.control_id, answer.text, ms, answer.accepted)
        return
    code = answer.code or "sent, no answer asked for"
    typer.echo(
        "  ".join(
            filter(None, (f"{file}#{number}", code, answer.control_id, f"{ms} ms", answer.text))
        )
    )


def _show_silence(file: Path, number: int, timeout_s: float, as_json: bool) -> None:
    text = f"no answer within {timeout_s:g} s: the receiver may or may not have the message"
    if as_json:
        _json(file, number, "", "", text, None, False)
    else:
        typer.echo(f"{file}#{number}  {text}")


def _json(
    file: Path, number: int, code: str, control_id: str, text: str, ms: float | None, ok: bool
) -> None:
    line = {
        "file": str(file),
        "message": number,
        "code": code,
        "control_id": control_id,
        "text": text,
        "ms": ms,
        "accepted": ok,
    }
    typer.echo(json.dumps(line, ensure_ascii=False))
