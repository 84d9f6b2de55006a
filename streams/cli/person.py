"""Who is at the command line, for the audit."""

from __future__ import annotations

import os
import pwd


def person() -> str:
    """The name of the process's user, else their number. Not $USER, which says what one likes."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user without a name, as in a container
        return f"uid {os.getuid()}"
