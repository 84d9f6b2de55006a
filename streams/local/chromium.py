"""Where Chromium is, for the browser tests: `python -m streams.local.chromium` prints it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
INSTALL = "apt-get install --no-install-recommends chromium"


def find() -> Path | None:
    """Path of a Chromium, or None."""
    for name in _NAMES:
        path = shutil.which(name)
        if path:
            return Path(path)
    return _MAC if _MAC.is_file() else None


if __name__ == "__main__":
    print(find() or "", end="")  # noqa: T201 - its output
    sys.exit(find() is None)
