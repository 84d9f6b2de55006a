"""Who is at the command line: a second person is not a variable of the environment."""

from __future__ import annotations

import os
import pwd

import pytest

from streams.cli.person import person


def test_the_environment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert person() == pwd.getpwuid(os.getuid()).pw_name
