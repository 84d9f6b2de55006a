"""`tocsin sinks check | route | test`, and settings on their way to the process."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from connectors.sinks.settings import SinksSettings
from streams.cli.main import app
from streams.delivery import routing as routing_module
from streams.delivery.routing import who
from streams.doctor.alerting import receivers, routing_file
from streams.doctor.finding import Level
from streams.errors import UserError
from streams.local.environment import variables
from streams.local.up import PROCESSES, wanted
from streams.settings import Settings, load
from tests.unit.sinks.alerts import alert
from tests.unit.sinks.peers import SECRET, WebPeer

pytestmark = pytest.mark.usefixtures("no_tocsin_environment")
GOOD = Path(__file__).parent / "routing_good" / "ward.yaml"
TOML = f"""
[sinks]
routing = "{GOOD}"
[sinks.receivers.ward-phones]
kind = "webhook"
url = "https://phones/x"
secret = "{SECRET}"
[sinks.receivers.chart]
kind = "fhir"
url = "https://fhir/r4"
token = "very-secret"
[sinks.receivers.rapid-response]
kind = "mllp"
host = "alarms"
port = 2576
receiving = ["AM", "HOSP"]
tls = {{ enabled = true }}
[sinks.receivers.duty-doctor]
kind = "mail"
host = "mail"
sender = "t@h"
to = ["a@h", "b@h"]
"""


def run(*arguments: str) -> str:
    """What a command prints. Raises what it raises."""
    result = CliRunner().invoke(app, ["sinks", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """Settings in the current folder."""
    file = tmp_path / "tocsin.toml"
    file.write_text(TOML)
    return file


@pytest.mark.usefixtures("toml")
def test_check_opens_what_can_be_opened() -> None:
    """Without a server, and without sending."""
    assert "4 receivers can be used" in run("check")


def test_check_says_which_receiver_the_settings_lack(toml: Path) -> None:
    """What it should be told of would be a dead letter."""
    toml.write_text(TOML.replace("receivers.chart", "receivers.charts"))
    with pytest.raises(UserError, match="names chart, and"):
        run("check")


def levels(settings: Settings) -> list[Level]:
    """What doctor thinks of receivers and routing."""
    return [f.level for check in (receivers, routing_file) for f in check(settings)]


def test_doctor_sees_what_check_sees(toml: Path) -> None:
    """All well; a secret file that is not there; a name that nobody has; nobody at all."""
    assert levels(load()) == [Level.OK, Level.OK]
    toml.write_text(TOML.replace('token = "very-secret"', 'token_file = "/nowhere/x"'))
    assert levels(load()) == [Level.PROBLEM, Level.OK]
    toml.write_text(TOML.replace("receivers.chart", "receivers.charts"))
    assert levels(load()) == [Level.OK, Level.PROBLEM]
    toml.write_text(TOML.replace(str(GOOD), "/nowhere/y.yaml"))
    assert levels(load()) == [Level.OK, Level.PROBLEM]
    toml.write_text("")
    assert levels(load()) == [Level.OK]


def test_check_says_which_file_is_not_there(toml: Path) -> None:
    """By the receiver's name."""
    toml.write_text(TOML.replace('token = "very-secret"', 'token_file = "/nowhere/x"'))
    with pytest.raises(UserError, match=r"sinks\.receivers\.chart: /nowhere/x No such file"):
        run("check")


@pytest.mark.usefixtures("toml")
def test_route_says_who_would_be_told_and_by_which_route() -> None:
    """Of the routing in force, or of a file."""
    said = run("route", "--ward", "ICU", "--risk", "sepsis").splitlines()
    assert said[0] == "chart, by route 1"
    assert said[1] == "rapid-response, by route 3.1, together with others of the same patient"
    escalated = run("route", "--state", "escalated").splitlines()
    assert escalated[1] == "duty-doctor, by route 2, again every 600 s until somebody takes it"
    empty = GOOD.with_name("empty.yaml")
    assert run("route", "--file", str(empty)) == "nobody\n"


def test_route_tries_groups_and_states_that_call_nobody(tmp_path: Path) -> None:
    file = tmp_path / "routing.yaml"
    file.write_text(
        "receivers: [{name: phones}, {name: tumour-board}]\n"
        "route: {receiver: phones, routes: [{receiver: tumour-board, matchers: [group=tumour]}]}\n"
    )
    assert run("route", "--file", str(file)) == "phones, by route root\n"
    assert run("route", "--file", str(file), "--group", "tumour") == "tumour-board, by route 1\n"
    assert run("route", "--file", str(file), "--state", "acknowledged") == "nobody\n"
    assert run("route", "--file", str(file), "--reason", "joined") == "nobody\n"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--severity", "bad", "is no severity"), ("--state", "open", "is no state")],
)
@pytest.mark.usefixtures("toml")
def test_route_refuses_labels_that_no_alert_has(option: str, value: str, words: str) -> None:
    """With those that there are."""
    with pytest.raises(UserError, match=words):
        run("route", option, value)


def test_a_test_alert_is_sent_and_marked(toml: Path) -> None:
    """One that the receiver refuses is told as such."""
    with WebPeer(SECRET) as peer:
        toml.write_text(
            f'[sinks.receivers.pager]\nkind = "webhook"\nurl = "{peer.url}"\nsecret = "{SECRET}"\n'
        )
        assert "has taken the test alert" in run("test", "pager")
        assert peer.bodies[0]["data"]["test"] is True
        peer.status = 403
        with pytest.raises(UserError, match="did not take the test alert: answered 403"):
            run("test", "pager")
        with pytest.raises(UserError, match="There is no receiver nobody"):
            run("test", "nobody")


def test_the_process_gets_the_receivers_that_up_got(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the environment, whatever kind they are."""
    settings = load()
    given = variables(settings)
    toml.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name, value in given.items():
        if name != "TOCSIN_SETTINGS":
            monkeypatch.setenv(name, value)
    assert load().sinks == settings.sinks


@pytest.mark.usefixtures("toml")
def test_a_secret_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the file."""
    monkeypatch.setenv("TOCSIN_SINKS__RECEIVERS__CHART__TOKEN", "other")
    receiver: Any = load().sinks.receivers["chart"]
    assert receiver.token.get_secret_value() == "other"


@pytest.mark.usefixtures("toml")
def test_sinks_run_where_somebody_is_told() -> None:
    """And nowhere else."""
    assert [c.name for c in wanted(load())] == [*[c.name for c in PROCESSES], "sinks"]
    assert wanted(Settings.model_construct()) == PROCESSES


@pytest.mark.parametrize(
    "receivers",
    [
        {"Ward 7": {"kind": "webhook"}},
        {"a": {"kind": "pigeon"}},
        {"a": {"kind": "mllp", "host": "h", "port": 0}},
        {"a": {"kind": "mail", "host": "h", "sender": "t@h", "to": []}},
        {"a": {"kind": "fhir", "url": "https://h", "secret": "x"}},
        {"a": {"kind": "webhook", "url": "https://h"}},
    ],
)
def test_a_receiver_that_cannot_be_used_is_refused(receivers: dict[str, Any]) -> None:
    """When the settings are read."""
    with pytest.raises(ValidationError):
        SinksSettings.model_validate({"receivers": receivers})


def test_without_receivers_the_process_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, no_tocsin_environment: Callable[[], None]
) -> None:
    """Rather than run for nobody."""
    monkeypatch.setenv("TOCSIN_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"docs/delivery\.md"):
        run()


def test_the_examples_of_the_documentation_can_be_used(tmp_path: Path) -> None:
    """The settings and the routing agree, and every receiver of the one is in the other."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "delivery.md").read_text()
    (toml,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "tocsin.toml").write_text(toml)
    (tmp_path / "routing.yaml").write_text(yaml)
    settings, routing = load(), routing_module.load(tmp_path / "routing.yaml")
    assert set(settings.sinks.receivers) == {r.name for r in routing.receivers}
    assert [t.receiver for t in who(routing, alert())] == ["chart", "alarm-server"]
