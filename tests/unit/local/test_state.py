"""What `up` noted about its servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.local.state import State, read_state, run_folder, write_state


@pytest.mark.parametrize("damage", [b"", b"{garbage", None])
def test_a_damaged_note_is_read_from_its_copy(tmp_path: Path, damage: bytes | None) -> None:
    """Otherwise `down` would leave running what it no longer knows of."""
    run_folder(tmp_path).mkdir(parents=True)
    state = State(ports={"kafka": 20_001})
    write_state(tmp_path, state)
    note = run_folder(tmp_path) / "up.json"
    if damage is None:
        note.unlink()
    else:
        note.write_bytes(damage)
    assert read_state(tmp_path) == state
