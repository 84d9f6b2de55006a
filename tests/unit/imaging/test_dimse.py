"""An archive by C-FIND and C-GET or C-MOVE: what it gives, and what happens when it does not."""

from __future__ import annotations

import io
import json
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pynetdicom import (
    AE,
    DEFAULT_TRANSFER_SYNTAXES,
    AllStoragePresentationContexts,
    build_context,
    evt,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from connectors.imaging.archive import AwayError, UnusableError
from connectors.imaging.dimse import Dimse
from connectors.imaging.objects import Segmentation, Selection, read
from connectors.imaging.report_contents import Report
from connectors.settings import ArchiveSettings, TlsServer
from connectors.tls import server_context
from streams.local.process import free_port
from tests.unit.imaging.objects import (
    STUDY,
    echo,
    lesion,
    rejection,
    report,
    segmentation,
    written_as,
)
from tests.unit.mllp.certificates import Authority

# pynetdicom drops the socket of a connection that was refused without closing it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

LUNG = ("39607008", "SCT", "Lung")
PICTURE = ("1.2.840.10008.5.1.4.1.1.2", "1.2.3")


class Peer:
    """An archive in memory."""

    def __init__(self) -> None:
        self.objects: list[Dataset] = []
        self.find_status = self.retrieve_status = 0xFF00
        self.refuse_storage = False
        self.port = free_port()
        self.target = ("127.0.0.1", free_port())
        self._server: Any = None

    def start(self, *models: Any, tls: ssl.SSLContext | None = None) -> None:
        entity = AE(ae_title="ARCHIVE")
        entity.require_called_aet = True
        for model in models or (
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelGet,
            StudyRootQueryRetrieveInformationModelMove,
        ):
            entity.add_supported_context(model)
        for context in AllStoragePresentationContexts:
            if context.abstract_syntax is not None:
                syntaxes = [*DEFAULT_TRANSFER_SYNTAXES, RLELossless]
                entity.add_supported_context(
                    context.abstract_syntax, syntaxes, scp_role=True, scu_role=True
                )
        self._server = entity.start_server(
            ("127.0.0.1", self.port),
            block=False,
            ssl_context=tls,
            evt_handlers=[
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_C_GET, self._get),
                (evt.EVT_C_MOVE, self._move),
            ],
        )

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        if self.find_status != 0xFF00:
            yield self.find_status, None
            return
        found = [o for o in self.objects if o.StudyInstanceUID == asked.StudyInstanceUID]
        seen = set()
        for one in found:
            name = (
                one.StudyInstanceUID
                if asked.QueryRetrieveLevel == "STUDY"
                else one.SeriesInstanceUID
            )
            if name not in seen:
                seen.add(name)
                answer = Dataset()
                for keyword in ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "PatientName",
                                "SeriesInstanceUID", "Modality"):  # fmt: skip
                    setattr(answer, keyword, one.get(keyword))
                answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
                yield 0xFF00, answer

    def _chosen(self, event: Any) -> list[Dataset]:
        asked = event.identifier
        return [o for o in self.objects if o.SeriesInstanceUID == asked.SeriesInstanceUID]

    def _get(self, event: Any) -> Iterator[Any]:
        found = self._chosen(event)
        yield len(found)
        if self.retrieve_status != 0xFF00:
            yield self.retrieve_status, None
            return
        for one in found:
            yield 0xFF00, one

    def _move(self, event: Any) -> Iterator[Any]:
        found = self._chosen(event)
        contexts = [build_context(o.SOPClassUID, o.file_meta.TransferSyntaxUID) for o in found]
        yield (*self.target, {"contexts": contexts})
        yield from self._get(event)


@contextmanager
def peer(*raw: bytes, models: tuple[Any, ...] = ()) -> Iterator[Peer]:
    found = Peer()
    found.objects = [dcmread(io.BytesIO(one)) for one in raw]
    found.start(*models)
    try:
        yield found
    finally:
        found.stop()


def asked(one: Peer, **how: Any) -> Dimse:
    said = {"address": f"127.0.0.1:{one.port}", "timeout_s": 5.0, **how}
    if said.get("retrieve") == "c-move":
        said["move_port"] = one.target[1]
    return Dimse(ArchiveSettings(**said), "TOCSIN", "127.0.0.1")


ALL = (
    report(lesion("12.5")),
    segmentation(LUNG),
    rejection("113001", PICTURE),
    report(echo("35"), instance="1.2.3.9", SeriesInstanceUID="1.2.3.10", Modality="CT"),
    report(lesion("30"), instance="1.2.3.8", StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1"),
)


@pytest.mark.parametrize("retrieve", ["c-get", "c-move"])
def test_what_holds_more_than_pictures_is_given(retrieve: str) -> None:
    with peer(*ALL) as archive, closing(asked(archive, retrieve=retrieve)) as one:
        said = json.loads(one.study(STUDY) or b"")
        assert said["00100020"]["Value"] == ["42"]
        assert said["00100021"]["Value"] == ["HOSP"]
        raw = list(one.objects(STUDY))
        assert [type(read(r)) for r in raw] == [Report, Segmentation, Selection]
        assert all(b"PixelData" not in r and "PixelData" not in dcmread(io.BytesIO(r)) for r in raw)
        assert one.study("1.2.8") is None
        assert list(one.objects("1.2.8")) == []


@pytest.mark.parametrize("retrieve", ["c-get", "c-move"])
@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_odd_transfer_syntaxes(syntax: Any, retrieve: str) -> None:
    with (
        peer(written_as(syntax, report(lesion("12.5")))) as archive,
        closing(asked(archive, retrieve=retrieve)) as one,
    ):
        (raw,) = one.objects(STUDY)
        found = read(raw)
        assert isinstance(found, Report)
        assert [m.value for m in found.measurements] == ["12.5"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0xA700, AwayError),
        (0xA702, UnusableError),
        (0xA900, UnusableError),
        (0xC001, UnusableError),
    ],
)
def test_what_an_archive_answers_with_an_error(status: int, error: type[Exception]) -> None:
    with peer(*ALL) as archive, closing(asked(archive)) as one:
        archive.retrieve_status = status
        with pytest.raises(error, match=f"C-GET status {status:04x}"):
            list(one.objects(STUDY))
        archive.find_status = status
        with pytest.raises(error, match=f"C-FIND status {status:04x}"):
            one.study(STUDY)


def test_an_archive_that_is_away_or_takes_nobody_is_away() -> None:
    with peer(*ALL) as archive:
        with closing(asked(archive, ae_title="ANOTHER")) as one, pytest.raises(AwayError):
            one.study(STUDY)
        archive.stop()
        with closing(asked(archive)) as one:
            with pytest.raises(AwayError):
                one.study(STUDY)
            archive.start()
            assert one.study(STUDY)


def test_an_archive_without_the_service_is_named() -> None:
    with (
        peer(*ALL, models=(StudyRootQueryRetrieveInformationModelFind,)) as archive,
        closing(asked(archive)) as one,
    ):
        assert one.study(STUDY)
        with pytest.raises(AwayError, match="GET"):
            list(one.objects(STUDY))


def test_with_a_ca_the_archive_has_to_prove_who_it_is(tmp_path: Path) -> None:
    authority, foreign = Authority(tmp_path, "ca"), Authority(tmp_path, "other")
    certificate, key = authority.issue("archive")
    tls = server_context(TlsServer(certificate=certificate, key=key))
    with peer(*ALL) as archive:
        archive.stop()
        archive.start(tls=tls)
        with closing(asked(archive, ca=authority.certificate)) as one:
            assert one.study(STUDY)
            assert len(list(one.objects(STUDY))) == 3
        with closing(asked(archive, ca=foreign.certificate)) as one, pytest.raises(AwayError):
            one.study(STUDY)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"url": "http://pacs/", "address": "pacs:104"}, "not by both"),
        ({"address": "pacs"}, "host:port"),
        ({"address": "pacs:0"}, "host:port"),
        ({"address": "pacs:104", "retrieve": "c-move"}, "move_port"),
    ],
)
def test_settings_that_cannot_be_used(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ArchiveSettings(**settings)
