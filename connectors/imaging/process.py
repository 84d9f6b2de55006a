"""The imaging process: the DICOM port, and the archive where one is named."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from connectors.clock import Clock
from connectors.imaging.archive import DicomWeb
from connectors.imaging.fetcher import Fetcher
from connectors.imaging.receiver import Receiver
from connectors.journal import KafkaJournal
from connectors.settings import ArchiveSettings, ImagingSettings, KafkaSettings

log = logging.getLogger("tocsin.imaging")


def run(
    imaging: ImagingSettings,
    archive: ArchiveSettings,
    kafka: KafkaSettings,
    clock: Clock,
    stop: threading.Event,
    on_ready: Callable[[], None],
) -> None:
    """Until `stop`. Raises `OSError` where the port cannot be used, `KafkaException` from Kafka."""
    received, fetched = KafkaJournal(kafka), KafkaJournal(kafka)
    receiver = Receiver(imaging, received, clock)
    port = receiver.start()
    log.info("DICOM on %s:%d as %s", imaging.host, port, imaging.ae_title)
    try:
        if archive.url:
            Fetcher(archive, DicomWeb(archive), fetched, clock).run(kafka, stop, on_ready)
        else:
            on_ready()
            stop.wait()
    finally:
        receiver.stop()
        received.close()
        fetched.close()
