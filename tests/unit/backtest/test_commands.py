"""`tocsin thresholds` and `tocsin backtest` at the command line, without a running system."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.main import app
from streams.errors import UserError

GOOD = "risks: {deterioration: {fire: 0.45, confirm: {scores: 2, of: 3}}}\n"


def predictions(file: Path) -> Path:
    """Sixty patients, ten hours; those with a label rise."""
    rows = ["id,as_of,probability,label,sex"]
    for patient in range(60):
        died = patient % 4 == 0
        for hour in range(10):
            p = min(0.9, 0.05 + 0.08 * hour) if died else 0.05 + 0.005 * patient
            rows.append(f"{patient},{hour},{p:.3f},{int(died)},{'FM'[patient % 2]}")
    file.write_text("\n".join(rows) + "\n")
    return file


def run(*argv: str) -> str:
    result = CliRunner().invoke(app, list(argv), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(GOOD)
    return file


def test_a_policy_is_tried_on_predictions(policy: Path, tmp_path: Path) -> None:
    data = predictions(tmp_path / "hourly.csv")
    out = run("backtest", str(policy), "--data", str(data), "--out", str(tmp_path / "out"))
    assert "sensitivity" in out
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["after"]["all"]["sensitivity"]["value"] == 1.0
    assert found["after"]["all"]["ppv"]["value"] == 1.0
    assert found["before"]["policy"] == "as shipped"
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.startswith("<!doctype html>")


def test_two_policies_are_compared(policy: Path, tmp_path: Path) -> None:
    data, other = predictions(tmp_path / "hourly.csv"), tmp_path / "other.yaml"
    other.write_text("risks: {deterioration: {fire: 0.9, clear: 0.9, critical: 0.95}}")
    out = run("backtest", str(other), "--data", str(data), "--against", str(policy))
    assert "No longer alerted: 15. Newly: 0." in out


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--data", "nowhere.csv"], "nowhere.csv cannot be read"),
        (["--risk", "nonsense"], "There is no risk nonsense"),
    ],
)
def test_what_cannot_be_tried_is_said(
    argv: list[str], why: str, policy: Path, tmp_path: Path
) -> None:
    data = ["--data", str(predictions(tmp_path / "hourly.csv"))]
    with pytest.raises(UserError, match=why):
        CliRunner().invoke(app, ["backtest", str(policy), *data, *argv], catch_exceptions=False)


def test_check_and_test_need_no_running_system(policy: Path) -> None:
    assert "can be used" in run("thresholds", "check", str(policy))
    out = run("thresholds", "test", str(policy), "--ward", "W1", "--severity", "critical")
    assert "deterioration fires at 0.45" in out
    assert "confirmed by 2 of 3 scores" in out
    assert "no routing" in out


def test_a_receiver_that_is_not_set_up_is_found_before_anybody_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip of the pen in the routing is said at once; without receivers here it is open."""
    file = tmp_path / "policy.yaml"
    file.write_text("routing: {receivers: [{name: pagr}], route: {receiver: pagr}}\n")
    assert "can be used" in run("thresholds", "check", str(file))
    site = tmp_path / "tocsin.toml"
    site.write_text(
        '[sinks.receivers.pager]\nkind = "mail"\nhost = "m"\nsender = "t@h"\nto = ["a@h"]\n'
    )
    monkeypatch.setenv("TOCSIN_SETTINGS", str(site))
    with pytest.raises(UserError, match="names pagr"):
        CliRunner().invoke(app, ["thresholds", "check", str(file)], catch_exceptions=False)
    file.write_text("routing: {receivers: [{name: pager}], route: {receiver: pager}}\n")
    assert "can be used" in run("thresholds", "check", str(file))


def test_who_would_be_told_and_what_holds_back(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "inhibitions: [{name: palliative, codes: [{code: Z51.5}]}]\n"
        "routing:\n  receivers: [{name: phones}, {name: rapid}]\n"
        "  route: {receiver: phones, routes: [{receiver: rapid, "
        "matchers: ['severity = critical']}]}\n"
    )
    assert "told: phones" in run("thresholds", "test", str(file))
    assert "told: rapid" in run("thresholds", "test", str(file), "--severity", "critical")
    held = run("thresholds", "test", str(file), "--code", "I10:Z51.5")
    assert "held back: inhibited (palliative)" in held
    assert "told: nobody" in held


def test_the_group_is_said_and_routes_by_group_are_tried(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "groups: {acute: {risks: [deterioration, sepsis], covers: 30m}}\n"
        "routing:\n  receivers: [{name: phones}, {name: rapid}]\n"
        "  route: {receiver: phones, routes: [{receiver: rapid, matchers: ['group = acute']}]}\n"
    )
    said = " ".join(run("thresholds", "test", str(file)).split())
    assert "shares a call with sepsis (acute), acknowledged together for 30 min" in said
    assert "told: rapid" in said


def test_every_command_shows_an_example() -> None:
    for argv in (
        ["backtest"],
        ["reproduce"],
        ["guard"],
        *(
            ["thresholds", name]
            for name in (
                "show", "check", "diff", "propose", "approve", "reject", "activate", "roll-back",
                "history", "test",
            )
        ),
    ):  # fmt: skip
        assert f"tocsin {' '.join(argv)}" in " ".join(run(*argv, "--help").split())
