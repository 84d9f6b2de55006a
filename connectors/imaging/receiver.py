"""The DICOM port: modality performed procedure steps, instance availability notices, echo.

A request is answered with success when the broker has its dataset, and not before; with the broker
away, or after a malformed dataset, it is answered with a failure, so that the sender keeps it.

An N-SET carries what changed of a step and not whose step it is. Each record therefore holds the
step as it stands, and the receiver remembers open steps; after a restart it reads them back from
the log.
"""

from __future__ import annotations

import io
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final

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
from connectors.imaging.wire_log import WireLog
from connectors.journal import Journal
from connectors.quarantine import Reason
from connectors.settings import ImagingSettings
from connectors.tls import server_context

log = logging.getLogger("tocsin.imaging")

# PS3.7 annex C, PS3.4 F.7.
SUCCESS: Final = 0x0000
DUPLICATE: Final = 0x0111
NO_SUCH_INSTANCE: Final = 0x0112
PROCESSING_FAILURE: Final = 0x0110
MISSING_ATTRIBUTE: Final = 0x0120

MOST_BYTES: Final = 2_000_000  # of one dataset, before it is decoded
MOST_STEPS: Final = 20_000  # open at once
STEPS_S: Final = 7 * 86_400.0  # how far back open steps are looked for
_FINAL: Final = ("COMPLETED", "DISCONTINUED")
_STATUS: Final = "00400252"

Json = dict[str, Any]


class Receiver:
    """Answers on the DICOM port until it is stopped."""

    def __init__(self, settings: ImagingSettings, journal: Journal, clock: Clock) -> None:
        self._settings = settings
        self._journal = journal
        self._log = WireLog(journal, clock)
        self._clock = clock
        self._lock = threading.Lock()  # associations have a thread each; the journal is for one
        self._next: dict[int, int] = {}  # partition → where to go on reading what others took in
        self._steps: OrderedDict[str, Json] = OrderedDict()  # SOP instance UID → the open step
        self._server: Any = None

    def start(self) -> int:
        """Listen; returns the port. Raises `OSError`, `TlsError`, `KafkaException`."""
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
            ssl_context=server_context(self._settings.tls),
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

    # ── requests ────────────────────────────────────────────────────────────────────────────

    def _on_create(self, event: Any) -> tuple[int, Dataset | None]:
        request, held = event.request, event.request.AttributeList
        if request.AffectedSOPClassUID == InstanceAvailabilityNotification:
            return self._answer("ian", event, held, self._take_notice)
        uid = str(request.AffectedSOPInstanceUID or "")
        return self._answer("mpps", event, held, partial(self._open, uid))

    def _on_set(self, event: Any) -> tuple[int, Dataset | None]:
        uid = str(event.request.RequestedSOPInstanceUID or "")
        held = event.request.ModificationList
        return self._answer("mpps", event, held, partial(self._change, uid))

    def _answer(
        self, kind: str, event: Any, held: io.BytesIO | None, take: Callable[[Json, str], int]
    ) -> tuple[int, Dataset | None]:
        caller = str(event.assoc.requestor.ae_title).strip()
        try:
            with self._lock:
                status = self._taken(event, held.getvalue() if held else b"", caller, take)
        except KafkaException as error:
            log.warning("not taken in, the sender will repeat it: %s", error.args[0].name())
            status = PROCESSING_FAILURE
        labels = {"event": kind, "status": f"{status:04x}"}
        metrics.counter("tocsin_dicom_messages").add(1, labels)
        return status, None

    def _taken(self, event: Any, held: bytes, caller: str, take: Callable[[Json, str], int]) -> int:
        """Decoded where that is safe; what cannot be is set aside, and the sender keeps it."""
        if len(held) > MOST_BYTES:
            self._log.set_aside(Reason.OVERSIZED, f"{len(held):,} bytes", held, caller)
            return PROCESSING_FAILURE
        is_set = event.event is evt.EVT_N_SET
        try:
            dataset: Json = (
                event.modification_list if is_set else event.attribute_list
            ).to_json_dict()
        except Exception as error:  # noqa: BLE001 - what pydicom raises for damaged bytes is anything
            detail = f"pydicom cannot read it ({type(error).__name__})"
            self._log.set_aside(Reason.BAD_DICOM, detail, held, caller)
            return PROCESSING_FAILURE
        return take(dataset, caller)

    def _take_notice(self, notice: Json, caller: str) -> int:
        return SUCCESS if self._append("ian", notice, caller) else PROCESSING_FAILURE

    def _open(self, uid: str, step: Json, caller: str) -> int:
        if not uid:
            return MISSING_ATTRIBUTE
        return DUPLICATE if uid in self._steps else self._keep(uid, step, caller)

    def _change(self, uid: str, changes: Json, caller: str) -> int:
        if uid not in self._steps:
            self._remember()  # another receiver may have opened it
        known = self._steps.get(uid)
        if known is None:
            return NO_SUCH_INSTANCE
        if _status(known) in _FINAL:
            return PROCESSING_FAILURE  # PS3.4 F.7.2.2.2: a step that is final does not change
        # An empty element does not take away whose step it is.
        said = {tag: element for tag, element in changes.items() if element.get("Value")}
        return self._keep(uid, changes | known | said, caller)

    def _keep(self, uid: str, step: Json, caller: str) -> int:
        step = step | {"00080018": {"vr": "UI", "Value": [uid]}}
        if not self._append("mpps", step, caller):
            return PROCESSING_FAILURE
        self._note(uid, step)
        return SUCCESS

    def _append(self, kind: str, dataset: Json, caller: str) -> bool:
        content_type = f"{wire.DICOM_JSON}; event={kind}"
        return self._log.append(content_type, json.dumps(dataset).encode(), caller)

    # ── steps ───────────────────────────────────────────────────────────────────────────────

    def _note(self, uid: str, step: Json) -> None:
        self._steps[uid] = step
        self._steps.move_to_end(uid)
        while len(self._steps) > MOST_STEPS:
            self._steps.popitem(last=False)

    def _remember(self) -> None:
        """Steps as the log knows them: what was taken in before, and by others meanwhile."""
        since = self._clock() - STEPS_S
        for record in self._journal.read(topics.WIRE_IMAGING, self._next, since=since):
            self._next[record.partition] = record.offset + 1
            if dict(record.headers).get(topics.HEADER_CONTENT_TYPE, b"").endswith(b"event=mpps"):
                try:
                    step = json.loads(record.value)
                    self._note(step["00080018"]["Value"][0], step)
                except (ValueError, LookupError, TypeError):
                    continue  # somebody else's: it went to quarantine


def _status(step: Json) -> str:
    values = step.get(_STATUS, {}).get("Value") or [""]
    return str(values[0])
