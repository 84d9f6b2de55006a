"""Which ports Tocsin's processes get in a local run."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.settings import HttpSettings
from streams.local.errors import LocalError
from streams.local.process import free_port, port_is_free, who_listens
from streams.local.state import Command, Plan, Planned
from streams.settings import ConsoleSettings, Settings

_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - recognised, not listened on


def choose_plan(
    settings: Settings, commands: Sequence[Command], key: str, ports: dict[str, int]
) -> Plan:
    """Commands with ports: those that are set, otherwise the last ones (`ports`) or free ones.

    Updates `ports`. Raises `LocalError` when one that is set is in use.
    """
    mllp = _port("mllp", settings.mllp.port, settings.mllp.host, ports)
    console = _port("console", settings.console.port, settings.console.host, ports)
    dicom = _port("imaging", settings.imaging.port, settings.imaging.host, ports)
    http = _port("http", settings.http.port, settings.http.host, ports)
    telemetry = settings.telemetry
    planned = []
    for index, command in enumerate(commands):
        # One port cannot serve several processes: those after the first count up from it.
        wanted = telemetry.metrics_port + index if telemetry.metrics_port else 0
        port = _port(f"{command.name} metrics", wanted, telemetry.metrics_host, ports)
        planned.append(Planned(command.name, command.argv, port))
    return Plan(
        processes=tuple(planned),
        metrics_host=_reachable(telemetry.metrics_host),
        mllp=f"{_reachable(settings.mllp.host)}:{mllp}",
        console=_url(settings.console, console),
        dicom=f"{_reachable(settings.imaging.host)}:{dicom}",
        http=_url(settings.http, http),
        settings=key,
        variables={
            "TOCSIN_MLLP__PORT": str(mllp),
            "TOCSIN_IMAGING__PORT": str(dicom),
            "TOCSIN_HTTP__PORT": str(http),
            "TOCSIN_CONSOLE__PORT": str(console),
        },
    )


def _url(section: ConsoleSettings | HttpSettings, port: int) -> str:
    scheme = "https" if section.tls.certificate else "http"
    return f"{scheme}://{_reachable(section.host)}:{port}"


def _port(name: str, wanted: int, host: str, ports: dict[str, int]) -> int:
    if not wanted:
        taken = frozenset(port for other, port in ports.items() if other != name)
        ports[name] = free_port(ports.get(name, 0), taken)
        return ports[name]
    if not port_is_free(wanted, host):
        setting = "telemetry.metrics_port" if name.endswith(" metrics") else f"{name}.port"
        raise LocalError(
            f"Port {wanted} ({setting}) is in use by {who_listens(wanted)}: stop that, set "
            f"another port, or set 0 for any free one."
        )
    return wanted


def _reachable(host: str) -> str:
    return _ANY.get(host, host)
