"""Kafka's folder, jars, Java and Redis, servers that are missing: one sentence each."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.local import jars, jvm, kafka, redis
from streams.local.errors import LocalError
from streams.local.probes import ProbeError, kafka_round_trip, process_ready, redis_round_trip
from streams.local.process import free_port
from streams.local.servers import Servers, redacted
from streams.local.state import State
from streams.settings import Settings

pytestmark = pytest.mark.usefixtures("no_tocsin_environment")


def executable(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def formatted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Instead of a JVM: notes its arguments and formats as Kafka's tool does."""
    calls: list[list[str]] = []
    data = tmp_path / "kafka" / "data"
    tool = executable(
        tmp_path, "tool", f'mkdir -p "{data}" && echo made > "{data}/meta.properties"'
    )

    def command(main: str, *arguments: str) -> list[str]:
        calls.append([main, *arguments])
        return [str(tool)]

    monkeypatch.setattr(kafka, "_java", command)
    return calls


def test_the_data_folder_is_formatted_once(tmp_path: Path, formatted: list[list[str]]) -> None:
    """Its data survives restarts."""
    kafka.start(tmp_path, 1, 2)
    kafka.start(tmp_path, 1, 2)
    assert [call[0] for call in formatted].count("kafka.tools.StorageTool") == 1


def test_a_half_formatted_folder_is_formatted_again(
    tmp_path: Path, formatted: list[list[str]]
) -> None:
    """The server was never started on it, so nothing is lost."""
    data = tmp_path / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "bootstrap.checkpoint.tmp").write_text("half")
    kafka.start(tmp_path, 1, 2)
    assert (data / "meta.properties").is_file()
    assert not (data / "bootstrap.checkpoint.tmp").exists()


@pytest.mark.usefixtures("formatted")
def test_damaged_data_is_never_formatted_over(tmp_path: Path) -> None:
    """What it holds may be worth keeping."""
    kafka.start(tmp_path, 1, 2)
    data = tmp_path / "kafka" / "data"
    (data / "tocsin.facts-0").mkdir()
    (data / "meta.properties").unlink()
    with pytest.raises(LocalError, match="is damaged"):
        kafka.start(tmp_path, 1, 2)
    assert (data / "tocsin.facts-0").is_dir()


def test_every_jar_is_pinned_by_its_hash() -> None:
    """Kafka's own, and a logging backend."""
    expected = jars.expected()
    assert f"kafka_2.13-{jars.KAFKA_VERSION}.jar" in expected
    assert any(name.startswith("slf4j-simple") for name in expected)
    assert all(len(digest) == 64 for digest in expected.values())


def test_missing_jars_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One jar too few is as good as none."""
    monkeypatch.setattr(jars, "folder", lambda: tmp_path)
    for name in list(jars.expected())[1:]:
        (tmp_path / name).touch()
    with pytest.raises(LocalError, match="run `make setup`"):
        jars.require()


def test_an_old_java_and_none_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the wheel with a Java is not there either."""
    monkeypatch.setattr(jvm, "_packaged", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalError, match="No Java was found"):
        jvm.java()
    executable(tmp_path, "java", "echo 'openjdk version \"1.8.0_292\"' >&2")
    with pytest.raises(LocalError, match="is Java 8"):
        jvm.java()
    found = executable(tmp_path, "java", "echo 'openjdk version \"21.0.2\" 2024-01-16' >&2")
    assert jvm.java() == found


def test_the_systems_redis_is_used_if_recent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the one in the wheel; otherwise one sentence."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(redis, "_packaged", lambda: None)
    with pytest.raises(LocalError, match="no redis-server was found"):
        redis.program()
    found = executable(tmp_path, "redis-server", "echo 'Redis server v=6.0.16 sha=0'")
    with pytest.raises(LocalError, match="older than 7"):
        redis.program()
    monkeypatch.setattr(redis, "_packaged", lambda: Path("from-the-wheel"))
    assert redis.program() == Path("from-the-wheel")
    executable(tmp_path, "redis-server", "echo 'Redis server v=7.0.15 sha=0'")
    assert redis.program() == found


def test_a_named_broker_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """With its address and what to do."""
    address = f"127.0.0.1:{free_port()}"
    settings = Settings(home=tmp_path, kafka={"bootstrap": address})
    with pytest.raises(ProbeError):
        kafka_round_trip(settings.kafka.client(), timeout_s=1.0)
    servers = Servers(settings, tmp_path, State(), lambda _line: None)
    with pytest.raises(LocalError, match=f"names {address}, which does not work.*leave it empty"):
        servers.kafka()


def test_a_named_redis_that_is_not_there_is_one_sentence_without_its_password(
    tmp_path: Path,
) -> None:
    """The password stays out of it."""
    url = f"redis://user:very-secret@127.0.0.1:{free_port()}/0"
    servers = Servers(
        Settings(home=tmp_path, redis={"url": url}), tmp_path, State(), lambda _line: None
    )
    with pytest.raises(LocalError, match="which does not work") as caught:
        servers.redis()
    assert "very-secret" not in str(caught.value)
    assert "user:***@127.0.0.1" in str(caught.value)


def test_nonsense_for_a_redis_url_is_one_sentence() -> None:
    """Not a traceback."""
    with pytest.raises(ProbeError):
        redis_round_trip("nonsense")


def test_a_url_without_password_is_printed_as_it_is() -> None:
    """Nothing to hide."""
    assert redacted("redis://127.0.0.1:1/0") == "redis://127.0.0.1:1/0"


def test_a_process_that_does_not_listen_is_not_ready() -> None:
    """With the reason."""
    assert "refused" in process_ready("127.0.0.1", free_port())
