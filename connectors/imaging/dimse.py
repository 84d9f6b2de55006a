"""An imaging archive, asked by DICOM (C-FIND and C-GET or C-MOVE; PS3.4 annex C).

For archives without DICOMweb. Only series of reports, selections and segmentations are asked for,
so pictures never come.
"""

from __future__ import annotations

import io
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from connectors.imaging.archive import AwayError, UnusableError
from connectors.imaging.elements import MODALITIES, REPORTS, SEGMENTATIONS
from connectors.imaging.objects import without_pixels
from connectors.settings import ArchiveSettings

SUCCESS: Final = 0x0000
_PENDING: Final = (0xFF00, 0xFF01)
# Out of resources, unknown destination, not authorised: of all studies alike (PS3.4 C.4).
_AWAY: Final = frozenset((0xA700, 0xA701, 0xA801, 0x0122, 0x0124))
# A context each, so that an archive may send an object as it has it.
_SYNTAXES: Final = (
    (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
    (ExplicitVRBigEndian,),
    (DeflatedExplicitVRLittleEndian,),
)
_OF_PIXELS: Final = ((RLELossless,), (JPEG2000Lossless,), (JPEGLSLossless,))
_STORED: Final = tuple(
    REPORTS + number
    for number in (
        *("11", "22", "33", "34", "35", "40", "50", "59", "65", "67", "68", "69", "70", "71"),
        *("72", "73", "74", "75"),
    )
) + tuple(sorted(SEGMENTATIONS))
_STUDY_KEYS: Final = (
    *("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"),
)


class Dimse:
    """`Archive` over DICOM associations. For one thread."""

    def __init__(self, settings: ArchiveSettings, own_title: str, own_host: str) -> None:
        """Raises `OSError` where the port for C-MOVE cannot be used."""
        self._settings = settings
        self._own_title = own_title
        moves = settings.retrieve == "c-move"
        self._moved = _Moved(settings, own_title, own_host) if moves else None

    def close(self) -> None:
        """Close the port for C-MOVE."""
        if self._moved is not None:
            self._moved.close()

    def study(self, uid: str) -> bytes | None:
        """What is known of a study."""
        wanted = _query("STUDY", uid)
        for keyword in _STUDY_KEYS:
            setattr(wanted, keyword, None)
        found = self._find(wanted)
        return json.dumps(found[0].to_json_dict()).encode() if found else None

    def objects(self, uid: str) -> Iterator[bytes]:
        """What of a study holds more than pictures, series by series."""
        wanted = _query("SERIES", uid)
        wanted.SeriesInstanceUID, wanted.Modality = "", ""
        for series in self._find(wanted):
            if str(series.get("Modality", "")) in MODALITIES:
                asked = _query("SERIES", uid)
                asked.SeriesInstanceUID = series.SeriesInstanceUID
                if self._moved is None:
                    yield from self._get(asked)
                else:
                    yield from self._move(asked, uid, self._moved)

    # ── requests ────────────────────────────────────────────────────────────────────────────

    def _find(self, wanted: Dataset) -> list[Dataset]:
        found: list[Dataset] = []
        model = StudyRootQueryRetrieveInformationModelFind
        with self._association([model]) as association:
            for status, identifier in association.send_c_find(wanted, model):
                if _code(status) in _PENDING:
                    if identifier is not None:
                        found.append(identifier)
                else:
                    _check(status, "C-FIND")
        return found

    def _get(self, asked: Dataset) -> list[bytes]:
        """One series, on the association that asks for it."""
        got: list[bytes] = []

        def stored(event: Any) -> int:
            got.append(_file(event))
            return SUCCESS

        model = StudyRootQueryRetrieveInformationModelGet
        handlers = [(evt.EVT_C_STORE, stored)]
        with self._association([model], _STORED, handlers) as association:
            for status, _ in association.send_c_get(asked, model):
                if _code(status) not in _PENDING:
                    _check(status, "C-GET")
        return got

    def _move(self, asked: Dataset, uid: str, moved: _Moved) -> list[bytes]:
        """One series, on an association that the archive opens to us."""
        model = StudyRootQueryRetrieveInformationModelMove
        moved.take()  # what is left over of a request that failed
        with self._association([model]) as association:
            for status, _ in association.send_c_move(asked, self._own_title, model):
                if _code(status) not in _PENDING:
                    _check(status, "C-MOVE")
        return [raw for study, raw in moved.take() if study == uid]

    @contextmanager
    def _association(
        self,
        contexts: list[Any],
        as_server: tuple[str, ...] = (),
        handlers: list[Any] | None = None,
    ) -> Iterator[Any]:
        """Raises `AwayError` where the archive does not take it."""
        settings = self._settings
        entity = AE(ae_title=self._own_title)
        entity.acse_timeout = entity.dimse_timeout = settings.timeout_s
        entity.network_timeout = entity.connection_timeout = settings.timeout_s
        entity.requested_contexts = [build_context(c) for c in contexts] + [
            build_context(one, list(syntaxes))
            for one in as_server
            for syntaxes in (_SYNTAXES + _OF_PIXELS if one in SEGMENTATIONS else _SYNTAXES)
        ]
        host, _, port = settings.address.rpartition(":")
        association = entity.associate(
            host.strip("[]"),
            int(port),
            ae_title=settings.ae_title,
            ext_neg=[build_role(one, scp_role=True) for one in as_server],
            evt_handlers=handlers or [],
            tls_args=_tls(settings, host),
        )
        if not association.is_established:
            raise AwayError("no association: address, AE titles, or it is away")
        try:
            if contexts[0] not in {c.abstract_syntax for c in association.accepted_contexts}:
                raise AwayError(f"{contexts[0].name} is not offered to this AE title")
            yield association
        finally:
            if association.is_established:
                association.release()


class _Moved:
    """The port to which C-MOVE sends."""

    def __init__(self, settings: ArchiveSettings, own_title: str, own_host: str) -> None:
        self._lock = threading.Lock()
        self._got: list[tuple[str, bytes]] = []
        entity = AE(ae_title=own_title)
        entity.require_calling_aet = [settings.ae_title]
        for one in _STORED:
            syntaxes = _SYNTAXES + _OF_PIXELS if one in SEGMENTATIONS else _SYNTAXES
            entity.add_supported_context(one, [name for some in syntaxes for name in some])
        self._server: Any = entity.start_server(
            (own_host, settings.move_port),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._stored)],
        )

    def take(self) -> list[tuple[str, bytes]]:
        """(study, object) that came since the last time."""
        with self._lock:
            got, self._got = self._got, []
            return got

    def close(self) -> None:
        self._server.shutdown()

    def _stored(self, event: Any) -> int:
        raw = _file(event)
        study = str(event.dataset.get("StudyInstanceUID", ""))
        with self._lock:
            self._got.append((study, raw))
        return SUCCESS


def _query(level: str, uid: str) -> Dataset:
    wanted = Dataset()
    wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = level, uid
    return wanted


def _file(event: Any) -> bytes:
    """As it was sent, PS3.10; of a segmentation without its pixels."""
    raw: bytes = event.encoded_dataset()
    if event.request.AffectedSOPClassUID in SEGMENTATIONS:
        return without_pixels(dcmread(io.BytesIO(raw), stop_before_pixels=True))
    return raw


def _code(status: Dataset) -> int | None:
    return int(status.Status) if "Status" in status else None


def _check(status: Dataset, request: str) -> None:
    """The last answer. Raises `AwayError`, `UnusableError`."""
    code = _code(status)
    if code == SUCCESS:
        return
    if code is None:
        raise AwayError(f"{request} was not answered")
    kind = AwayError if code in _AWAY else UnusableError
    raise kind(f"{request} status {code:04x}")


def _tls(settings: ArchiveSettings, host: str) -> tuple[ssl.SSLContext, str] | None:
    if settings.ca is None:
        return None
    return ssl.create_default_context(cafile=settings.ca), host
