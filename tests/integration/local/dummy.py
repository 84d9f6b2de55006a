"""A stand-in for a Tocsin process: `dummy.py ready|never|dies|late`."""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

MODE = sys.argv[1]
STARTED = time.monotonic()
LATE_S = 1.0


class Handler(BaseHTTPRequestHandler):
    """Answers /ready."""

    def do_GET(self) -> None:
        """503 until it is ready."""
        late = MODE == "late" and time.monotonic() - STARTED < LATE_S
        self.send_response(503 if late or MODE == "never" else 200)
        self.end_headers()
        self.wfile.write(b"waiting for its round trip" if late or MODE == "never" else b"ready")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


if MODE == "dies":
    sys.stdout.write("dummy: this cannot work\n")
    sys.exit(3)
environment = {k: v for k, v in os.environ.items() if k.startswith("TOCSIN_")}
home = Path(environment["TOCSIN_HOME"])
(home / f"environment-{MODE}.json").write_text(json.dumps(environment))
port = int(environment["TOCSIN_TELEMETRY__METRICS_PORT"])
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
