"""`tocsin doctor` on the HTTP port and the imaging archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.imaging.archive import AwayError, UnusableError
from streams.doctor import intake
from streams.doctor.finding import Level
from streams.local.process import free_port
from streams.settings import Settings

pytestmark = pytest.mark.usefixtures("no_tocsin_environment")


def test_who_may_send_is_said(tmp_path: Path) -> None:
    """Without secrets."""
    tokens = tmp_path / "tokens"
    tokens.write_text("LAB a-token-that-is-long\nPACS another-long-token\n")
    for settings, words in (
        (Settings(), "this machine alone"),
        (Settings(http={"tokens": tokens}), "2 senders with tokens"),
    ):
        (finding,) = intake.http(settings)
        assert finding.level == Level.OK
        assert words in finding.message
        assert "token-that" not in finding.message


@pytest.mark.parametrize(
    "http",
    [{"host": "192.0.2.1"}, {"tokens": "/nowhere"}, {"tls": {"certificate": "/nowhere"}}],
)
def test_a_port_that_cannot_open_is_a_problem(http: dict[str, Any]) -> None:
    """Said before it is started."""
    (finding,) = intake.http(Settings(http=http))
    assert finding.level == Level.PROBLEM
    assert "http." in finding.message


def test_no_archive_is_no_problem() -> None:
    """Many sites have none that may be asked."""
    (finding,) = intake.archive(Settings())
    assert finding.level == Level.OK


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # pynetdicom, as in test_dimse
@pytest.mark.parametrize("way", ["url", "address"])
def test_an_archive_that_is_away_is_a_problem(way: str) -> None:
    """By either way of asking."""
    where = f"127.0.0.1:{free_port()}"
    named = {"url": f"http://{where}/dicom-web"} if way == "url" else {"address": where}
    (finding,) = intake.archive(Settings(archive={**named, "timeout_s": 2.0}))
    assert finding.level == Level.PROBLEM
    assert where in finding.message


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (None, Level.OK),
        (b"{}", Level.OK),
        (UnusableError("HTTP 404"), Level.WARNING),
        (AwayError("HTTP 503"), Level.PROBLEM),
    ],
)
def test_what_an_archive_answers(
    answer: bytes | Exception | None, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Having nothing of a study is an answer."""

    class Peer:
        def study(self, _: str) -> bytes | None:
            if isinstance(answer, Exception):
                raise answer
            return answer

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr("connectors.imaging.process.peer_of", lambda *_: Peer())
    (finding,) = intake.archive(Settings(archive={"url": "http://pacs/"}))
    assert finding.level == level
