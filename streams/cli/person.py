"""Who is at the command line, for the audit."""

from __future__ import annotations

import getpass
import os


def person() -> str:
    """The user's name, else their number."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):  # a user without a name, as in a container
        return f"uid {os.getuid()}"
