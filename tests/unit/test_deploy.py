"""What is in deploy/ can be read, agrees with the code, and holds no secret."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.metrics import CATALOGUE
from streams.console import listening
from streams.local.up import GUARD, PROCESSES, SINKS
from streams.settings import OidcSettings, Settings, SettingsError
from tests.unit.mllp.certificates import Authority

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
YAML = sorted([*DEPLOY.rglob("*.yml"), *DEPLOY.rglob("*.yaml")])
NAME = re.compile(r"\btocsin_\w+")


def exported() -> dict[str, tuple[str, ...]]:
    """Name on the metrics page → labels, for every metric of the catalogue."""
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {m.name + s: m.labels for m in CATALOGUE for s in suffixes[m.kind]}


def expressions() -> Iterator[str]:
    for group in read(DEPLOY / "alerts.yml")["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "tocsin.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


@pytest.mark.parametrize("file", YAML, ids=lambda f: f.name)
def test_yaml_can_be_read(file: Path) -> None:
    """All of it."""
    assert isinstance(read(file), dict)


def test_every_metric_in_a_rule_or_on_the_dashboard_exists() -> None:
    """Under the very name that the metrics page has."""
    known = exported()
    used = {name for expression in expressions() for name in NAME.findall(expression)}
    assert len(used) > 10
    assert used - known.keys() == set()


def test_every_label_in_a_rule_or_on_the_dashboard_exists() -> None:
    """On the metric that it is used with; `le` is the histograms' own."""
    known = exported()
    for expression in expressions():
        names = NAME.findall(expression)
        labels = {label for name in names for label in known[name]} | {"le", "job", "process"}
        used = {
            label.strip()
            for group in re.findall(r"\bby \(([^)]*)\)", expression)
            for label in group.split(",")
        }
        used |= set(re.findall(r"[{,]\s*(\w+)\s*[=!]", expression))
        assert used - labels == set(), expression


def test_every_metric_of_the_catalogue_is_on_the_dashboard() -> None:
    """A new metric needs a place there."""
    dashboard = (DEPLOY / "grafana" / "dashboards" / "tocsin.json").read_text()
    missing = [m.name for m in CATALOGUE if m.name not in dashboard]
    assert missing == []


def test_every_alert_rule_says_what_to_do() -> None:
    """Whoever is woken should not have to guess."""
    for group in read(DEPLOY / "alerts.yml")["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() >= {"summary", "action"}, rule["alert"]
            assert rule["labels"]["severity"] in ("critical", "warning")


def test_compose_runs_every_process_and_prometheus_reads_each() -> None:
    """The same ones as `tocsin up`, and those that it starts where the settings say so."""
    names = {command.name for command in (*PROCESSES, SINKS, GUARD)}
    services = read(DEPLOY / "compose.yaml")["services"]
    assert names <= services.keys()
    assert all(services[name]["command"] == [name] for name in names)
    scrape = read(DEPLOY / "prometheus.yml")["scrape_configs"][0]
    assert set(scrape["dns_sd_configs"][0]["names"]) == names
    assert (
        f"METRICS_PORT={scrape['dns_sd_configs'][0]['port']}" in (DEPLOY / "Dockerfile").read_text()
    )


def test_compose_sets_only_settings_that_exist_and_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unknown one would keep the process from starting."""
    for service in read(DEPLOY / "compose.yaml")["services"].values():
        given = {k: v for k, v in service.get("environment", {}).items() if k.startswith("TOCSIN_")}
        secret = [v for n, v in given.items() if "KEY" in n or "PASSWORD" in n or "SECRET" in n]
        assert all(str(value).startswith("/run/secrets/") for value in secret)  # files of yours
        with monkeypatch.context() as environment:
            for name, value in given.items():
                environment.setenv(name, str(value))
            settings = Settings()
        for name, value in given.items():
            section, *keys = name.removeprefix("TOCSIN_").lower().split("__")
            found: Any = getattr(settings, section)
            for key in keys:
                assert key in type(found).model_fields, name
                found = getattr(found, key)
            assert "@" not in str(value)


def test_what_compose_starts_may_listen_where_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The console refuses to listen beyond its machine without sign-in and certificate: as the
    compose file has it, it lacks what is yours alone."""
    console = read(DEPLOY / "compose.yaml")["services"]["console"]
    assert console["profiles"] == ["console"]
    assert {"./tocsin.toml:/var/lib/tocsin/tocsin.toml:ro"} < set(console["volumes"])
    for name, value in console["environment"].items():
        monkeypatch.setenv(name, str(value))
    certificate, key = Authority(tmp_path, "ca").issue("console")
    for part, file in (("CERTIFICATE", certificate), ("KEY", key)):
        assert console["environment"][f"TOCSIN_CONSOLE__TLS__{part}"].startswith("/run/secrets/")
        monkeypatch.setenv(f"TOCSIN_CONSOLE__TLS__{part}", str(file))
    with pytest.raises(SettingsError, match=r"console\.oidc"):
        listening.check(Settings().console)
    oidc = {"issuer": "https://login.example", "client_id": "tocsin", "client_secret": "x"}
    signed = Settings().console.model_copy(
        update={"oidc": OidcSettings(**oidc), "url": "https://tocsin.example:8080"}
    )
    listening.check(signed)


def test_dependencies_are_pinned_with_hashes_and_name_no_registry() -> None:
    """Every requirement of every list."""
    for file in (DEPLOY.parent / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "://" not in text
        assert "--index-url" not in text
        requirements = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
        assert all("==" in r and "--hash=sha256:" in r for r in requirements), file.name


def test_connectors_install_without_torch() -> None:
    """Torch brings gigabytes."""
    text = (DEPLOY.parent / "requirements" / "connectors.txt").read_text()
    assert not re.search(r"^torch==", text, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_accepts_its_configuration(arguments: tuple[str, ...]) -> None:
    """As its own tool sees it."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (Debian: apt-get install prometheus)")
    run = subprocess.run(
        [promtool, *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
