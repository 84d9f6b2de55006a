"""A real archive for tests: Orthanc with DICOMweb, and dcmtk to send to it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import requests

from streams.local.process import free_port

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
AUTH = ("tocsin", "secret")
INSTALL = "apt-get install orthanc orthanc-dicomweb dcmtk"


class Orthanc:
    """Started and killed at will; its folder outlives it."""

    def __init__(self, folder: Path, move_port: int = 0) -> None:
        program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None or not PLUGIN.exists() or shutil.which("dcmsend") is None:
            pytest.skip(f"needs an imaging archive: `{INSTALL}`")
        self._program = program
        self.http, self.dicom = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}/dicom-web"
        self._config = folder / "orthanc.json"
        self._log = folder / "orthanc.log"
        self._config.write_text(
            json.dumps(
                {
                    "Name": "ARCHIVE",
                    "StorageDirectory": str(folder / "db"),
                    "IndexDirectory": str(folder / "db"),
                    "HttpPort": self.http,
                    "DicomPort": self.dicom,
                    "DicomAet": "ARCHIVE",
                    "DicomCheckCalledAet": False,
                    "DicomAlwaysAllowGet": True,
                    "DicomModalities": (
                        {"tocsin": ["TOCSIN", "127.0.0.1", move_port]} if move_port else {}
                    ),
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": True,
                    "RegisteredUsers": {"tocsin": "secret"},
                    "Plugins": [str(PLUGIN)],
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                }
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Orthanc:
        self.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [self._program, str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + 90
        while True:
            try:
                answer = requests.get(f"{self.url}/studies", auth=AUTH, timeout=30)
                if answer.status_code == 200:
                    return
            except requests.ConnectionError:
                pass
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError(self._log.read_text()[-2_000:])
            time.sleep(0.2)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def push(self, url: str, *files: Path) -> None:
        """Store files, and let Orthanc push them to a STOW-RS server, as its scripts would."""
        root = f"http://127.0.0.1:{self.http}"
        names = []
        for file in files:
            stored = self._post(f"{root}/instances", data=file.read_bytes())
            names.append(stored.json()["ID"])
        requests.put(
            f"{root}/dicom-web/servers/tocsin", json={"Url": url}, auth=AUTH, timeout=30
        ).raise_for_status()
        self._post(
            f"{root}/dicom-web/servers/tocsin/stow", json={"Resources": names, "Synchronous": True}
        )

    def _post(self, url: str, **how: Any) -> requests.Response:
        answer = requests.post(url, auth=AUTH, timeout=120, **how)
        answer.raise_for_status()
        return answer

    def store(self, *files: Path) -> None:
        """C-STORE by dcmtk."""
        command = ["dcmsend", "-aec", "ARCHIVE", "127.0.0.1", str(self.dicom)]
        subprocess.run([*command, *map(str, files)], check=True, capture_output=True, timeout=120)
