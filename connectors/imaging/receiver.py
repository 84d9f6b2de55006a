"""The DICOM port: modality performed procedure steps, instance availability notices, echo.

A request is answered with success when the broker has its dataset, and not before; with the broker
away, or after a malformed dataset, it is answered with a failure, so that the sender keeps it.

An N-SET carries what changed of a step and not whose step it is. Each record therefore holds the
step as it stands, and the receiver remembers open steps; after a restart it reads them back from
the log.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from confluent_kafka import KafkaException
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    Verification,
)

from connectors import metrics, topics, wire
from connectors.clock import Clock
from connectors.settings import ImagingSettings

log = logging.getLogger("tocsin.imaging")

# PS3.7 annex C, PS3.4 F.7.
SUCCESS: Final = 0x0000
DUPLICATE: Final = 0x0111
NO_SUCH_INSTANCE: Final = 0x0112
PROCESSING_FAILURE: Final = 0x0110
MISSING_ATTRIBUTE: Final = 0x0120

MOST_BYTES: Final = 4_000_000  # of one dataset
MOST_STEPS: Final = 20_000  # open at once
STEPS_S: Final = 7 * 86_400.0  # how far back open steps are looked for
_FINAL: Final = ("COMPLETED", "DISCONTINUED")
_STATUS: Final = "00400252"

Json = dict[str, Any]


class Stored(Protocol):
    """A record of the log."""

    @property
    def value(self) -> bytes: ...
    @property
    def headers(self) -> list[tuple[str, bytes]]: ...


class Journal(Protocol):
    """What the receiver needs of `connectors.journal.KafkaJournal`."""

    def read(
        self, topic: str, start: dict[int, int], since: float | None = None
    ) -> Iterator[Stored]:
        """A topic from a time on."""

    def append(self, topic: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Returns when the broker has the record. Raises `KafkaException`."""


class Receiver:
    """Answers on the DICOM port until it is stopped."""

    def __init__(self, settings: ImagingSettings, journal: Journal, clock: Clock) -> None:
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()  # associations have a thread each; the journal is for one
        self._steps: OrderedDict[str, Json] = OrderedDict()  # SOP instance UID → the open step
        self._server: Any = None

    def start(self) -> int:
        """Listen; returns the port. Raises `OSError`, and `KafkaException` without a broker."""
        self._remember()
        entity = AE(ae_title=self._settings.ae_title)
        entity.maximum_associations = self._settings.max_associations
        entity.require_calling_aet = list(self._settings.callers)
        entity.require_called_aet = bool(self._settings.callers)
        for context in (
            ModalityPerformedProcedureStep,
            InstanceAvailabilityNotification,
            Verification,
        ):
            entity.add_supported_context(context)
        self._server = entity.start_server(
            (self._settings.host, self._settings.port),
            block=False,
            ssl_context=self._tls(),
            evt_handlers=[
                (evt.EVT_N_CREATE, self._on_create),
                (evt.EVT_N_SET, self._on_set),
                (evt.EVT_C_ECHO, lambda _: SUCCESS),
            ],
        )
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening and end the associations."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _tls(self) -> ssl.SSLContext | None:
        tls = self._settings.tls
        if tls.certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    # ── requests ────────────────────────────────────────────────────────────────────────────

    def _on_create(self, event: Any) -> tuple[int, Dataset | None]:
        request = event.request
        uid = str(request.AffectedSOPInstanceUID or "")
        if request.AffectedSOPClassUID == InstanceAvailabilityNotification:
            return self._answer("ian", lambda: self._take_notice(_json(event.attribute_list)))
        return self._answer("mpps", lambda: self._open(uid, _json(event.attribute_list)))

    def _on_set(self, event: Any) -> tuple[int, Dataset | None]:
        uid = str(event.request.RequestedSOPInstanceUID or "")
        return self._answer("mpps", lambda: self._change(uid, _json(event.modification_list)))

    def _answer(self, kind: str, take: Callable[[], int]) -> tuple[int, Dataset | None]:
        try:
            with self._lock:
                status = take()
        except KafkaException as error:
            log.warning("not taken in, the sender will repeat it: %s", error.args[0].name())
            status = PROCESSING_FAILURE
        except Exception as error:  # noqa: BLE001 - what pydicom raises for damaged bytes is anything
            log.warning("a dataset that cannot be read: %s", type(error).__name__)
            status = PROCESSING_FAILURE
        labels = {"event": kind, "status": f"{status:04x}"}
        metrics.counter("tocsin_dicom_messages").add(1, labels)
        return status, None

    def _take_notice(self, notice: Json) -> int:
        self._append("ian", notice)
        return SUCCESS

    def _open(self, uid: str, step: Json) -> int:
        if not uid:
            return MISSING_ATTRIBUTE
        if uid in self._steps:
            return DUPLICATE
        self._keep(uid, step)
        return SUCCESS

    def _change(self, uid: str, changes: Json) -> int:
        known = self._steps.get(uid)
        if known is None:
            return NO_SUCH_INSTANCE
        if _status(known) in _FINAL:
            return PROCESSING_FAILURE  # PS3.4 F.7.2.2.2: a step that is final does not change
        # An empty element does not take away whose step it is.
        said = {tag: element for tag, element in changes.items() if element.get("Value")}
        self._keep(uid, changes | known | said)
        return SUCCESS

    def _keep(self, uid: str, step: Json) -> None:
        step = step | {"00080018": {"vr": "UI", "Value": [uid]}}
        self._append("mpps", step)
        self._steps[uid] = step
        self._steps.move_to_end(uid)
        while len(self._steps) > MOST_STEPS:
            self._steps.popitem(last=False)

    def _append(self, kind: str, dataset: Json) -> None:
        raw = json.dumps(dataset).encode()
        if len(raw) > MOST_BYTES:
            raise ValueError("larger than it may be")
        content_type = f"{wire.DICOM_JSON}; event={kind}"
        source = self._settings.ae_title
        headers = topics.record_headers(content_type, source, self._clock())
        self._journal.append(topics.WIRE_IMAGING, raw, headers)

    # ── after a restart ─────────────────────────────────────────────────────────────────────

    def _remember(self) -> None:
        """Steps as the log knows them."""
        since = self._clock() - STEPS_S
        for record in self._journal.read(topics.WIRE_IMAGING, {}, since=since):
            if dict(record.headers).get(topics.HEADER_CONTENT_TYPE, b"").endswith(b"event=mpps"):
                try:
                    step = json.loads(record.value)
                    self._steps[step["00080018"]["Value"][0]] = step
                except (ValueError, LookupError, TypeError):
                    continue  # somebody else's: it went to quarantine


def _json(dataset: Dataset) -> Json:
    """As DICOM JSON, bytes inline. Raises whatever pydicom does for what cannot be read."""
    found: Json = dataset.to_json_dict()
    return found


def _status(step: Json) -> str:
    values = step.get(_STATUS, {}).get("Value") or [""]
    return str(values[0])
