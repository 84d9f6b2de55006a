"""Checks of what `tocsin up` started in the working folder."""

from __future__ import annotations

from streams.doctor.finding import Finding, Findings, ok, problem, warning
from streams.local.probes import process_ready
from streams.local.process import tail
from streams.local.state import Running, State, log_folder, read_running, read_state
from streams.settings import Settings


def processes(settings: Settings) -> Findings:
    """Servers, supervisor and processes: alive, ready, or left over."""
    state = read_state(settings.home)
    running = read_running(settings.home)
    if not (state.servers or state.supervisor or running):
        yield ok("processes", f"nothing was started in {settings.home}")
        return
    yield from _dead_servers(state)
    yield from _supervisor(state, running)
    metrics = {p.name: p.metrics_port for p in state.plan.processes} if state.plan else {}
    host = state.plan.metrics_host if state.plan else ""
    for name, process in running.items():
        port = metrics.get(name)
        not_ready = process_ready(host, port) if port else "it is not in the plan"
        yield _process(name, process, not_ready, settings)


def _dead_servers(state: State) -> Findings:
    for name, pid in state.servers.items():
        if not pid.alive():
            yield problem(
                "processes",
                f"{name} (pid {pid.pid}) was started here and has ended: run `tocsin up` to start "
                "it again, or `tocsin down` to stop the rest.",
            )


def _supervisor(state: State, running: dict[str, Running]) -> Findings:
    if state.supervisor is not None and state.supervisor.alive():
        return
    left = [n for n, p in running.items() if p.pid is not None and p.pid.alive()]
    if left:
        yield problem(
            "processes",
            f"The supervisor has ended and left {', '.join(left)} running: run `tocsin up` to "
            "take them over, or `tocsin down` to stop them.",
        )
    elif running:
        yield problem(
            "processes",
            "What was started here has ended without `tocsin down`: run `tocsin up` to go on, or "
            "`tocsin down` to clear up.",
        )


def _process(name: str, process: Running, not_ready: str, settings: Settings) -> Finding:
    log = log_folder(settings.home) / f"{name}.log"
    if process.status == "gave up":
        last = tail(log, 1) or "it said nothing"
        return problem(
            "processes",
            f"{name} ended again and again and is started only once a minute ({last}): see {log}, "
            "correct the cause and run `tocsin up`.",
        )
    if process.pid is None or not process.pid.alive():
        return problem("processes", f"{name} does not run: see {log}.")
    if not_ready:
        return problem("processes", f"{name} runs but is not ready ({not_ready}): see {log}.")
    if process.restarts:
        return warning(
            "processes", f"{name} is ready after {process.restarts} restarts: see {log} for why."
        )
    return ok("processes", f"{name} is ready")
