"""The imaging process: the DICOM port, and the archive where one is named."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing

from confluent_kafka import KafkaException

from connectors.clock import Clock
from connectors.imaging.archive import DicomWeb
from connectors.imaging.dimse import Dimse
from connectors.imaging.fetcher import Fetcher
from connectors.imaging.receiver import Receiver
from connectors.journal import KafkaJournal
from connectors.settings import ArchiveSettings, ImagingSettings, KafkaSettings

log = logging.getLogger("tocsin.imaging")

_AGAIN_S = 2.0
# They log each request, and with `log_level` DEBUG what is in it: patient data.
_TALKATIVE = ("pynetdicom", "pydicom", "dicomweb_client")


def run(
    imaging: ImagingSettings,
    archive: ArchiveSettings,
    kafka: KafkaSettings,
    clock: Clock,
    stop: threading.Event,
    on_ready: Callable[[], None],
) -> None:
    """Until `stop`. Raises `OSError` where the port cannot be used."""
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)
    received, fetched = KafkaJournal(kafka), KafkaJournal(kafka)
    receiver = Receiver(imaging, received, clock)
    try:
        port = _started(receiver, stop)
        if port is None:
            return
        log.info("DICOM on %s:%d as %s", imaging.host, port, imaging.ae_title)
        if archive.url or archive.address:
            with closing(peer_of(archive, imaging)) as peer:
                Fetcher(archive, peer, fetched, clock).run(kafka, stop, on_ready)
        else:
            on_ready()
            stop.wait()
    finally:
        receiver.stop()
        received.close()
        fetched.close()


def peer_of(archive: ArchiveSettings, imaging: ImagingSettings) -> DicomWeb | Dimse:
    """The archive that the settings name. Raises `OSError` where its port cannot be used."""
    if archive.url:
        return DicomWeb(archive)
    return Dimse(archive, imaging.ae_title, imaging.host)


def _started(receiver: Receiver, stop: threading.Event) -> int | None:
    """The port, as soon as Kafka is there; None when that is not waited for any more."""
    while not stop.is_set():
        try:
            return receiver.start()
        except KafkaException as error:
            log.warning("waiting for Kafka: %s", error.args[0].name())
            stop.wait(_AGAIN_S)
    return None
