"""Gives reports to a real archive and says to Tocsin that they are there."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterable, Sequence

import requests
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
)

from connectors.imaging.archive import client_of, session_of
from connectors.replay.radiology import uid_of
from connectors.settings import ArchiveSettings

CALLING = "ARCHIVE"  # the AE title that notices come from: a feed's name in the site file
_AT_ONCE = 20  # reports in one request


class ArchiveError(Exception):
    """The archive, or Tocsin's DICOM port, did not take something; the text says what and why."""


def store(
    settings: ArchiveSettings, reports: Sequence[bytes], on_stored: Callable[[int], None]
) -> None:
    """STOW-RS. Stored again, a report of the same UID changes nothing. Raises `ArchiveError`."""
    with session_of(settings) as session:
        client = client_of(settings, session)
        for start in range(0, len(reports), _AT_ONCE):
            some = [dcmread(io.BytesIO(raw)) for raw in reports[start : start + _AT_ONCE]]
            try:
                answer = client.store_instances(some)
            except (requests.RequestException, OSError) as error:
                status = getattr(getattr(error, "response", None), "status_code", None)
                why = f"HTTP {status}" if status else type(error).__name__
                raise ArchiveError(
                    f"The archive at {settings.url} takes no reports ({why})."
                ) from None
            refused = getattr(answer, "FailedSOPSequence", None) or ()
            if len(refused):
                raise ArchiveError(f"The archive at {settings.url} refused {len(refused)} reports.")
            on_stored(len(some))


def announce(address: str, called: str, notices: Iterable[Dataset]) -> None:
    """Instance Availability Notifications to host:port. Raises `ArchiveError`."""
    host, _, port = address.rpartition(":")
    try:  # pynetdicom leaves a socket behind where nobody listens
        socket.create_connection((host.strip("[]"), int(port)), 5.0).close()
    except OSError as error:
        raise ArchiveError(f"Nobody listens at {address} ({type(error).__name__}).") from None
    entity = AE(ae_title=CALLING)
    entity.add_requested_context(InstanceAvailabilityNotification)
    association = entity.associate(host.strip("[]"), int(port), ae_title=called)
    if not association.is_established:
        raise ArchiveError(f"Nobody takes DICOM notices at {address} as {called}.")
    try:
        for notice in notices:
            number = uid_of(notice.StudyInstanceUID, "notice")
            status, _ = association.send_n_create(notice, InstanceAvailabilityNotification, number)
            code = getattr(status, "Status", None)
            if code != 0:
                shown = "no answer" if code is None else f"status {code:04x}"
                raise ArchiveError(f"A notice was not taken at {address} ({shown}).")
    finally:
        association.release()
