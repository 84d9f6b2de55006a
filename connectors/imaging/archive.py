"""An imaging archive, as the fetcher asks it; by DICOMweb (QIDO-RS, WADO-RS; PS3.18)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom.dataset import Dataset

from connectors.imaging.elements import MODALITIES, SEGMENTATIONS, is_read
from connectors.imaging.objects import as_file, without_pixels
from connectors.settings import ArchiveSettings

# The request itself is wrong, or there is no such thing: asking again at once gives the same.
_OF_THIS_STUDY: Final = frozenset((400, 404, 406, 409, 410, 413, 414, 422))
_STUDY_FIELDS: Final = ("00080061", "00100021", "00201206", "00201208")

_Answer = TypeVar("_Answer")


class AwayError(Exception):
    """The archive does not answer, or to nobody: later it may."""


class UnusableError(Exception):
    """The archive answers, and cannot give this study, or gives what is none."""


class Archive(Protocol):
    """Raises `AwayError` and `UnusableError`, in words."""

    def study(self, uid: str) -> bytes | None:
        """What is known of a study, as DICOM JSON; None: there is none of it (yet)."""

    def objects(self, uid: str) -> Iterator[bytes]:
        """What of a study holds more than pictures (`elements.is_read`), PS3.10."""


def session_of(settings: ArchiveSettings) -> requests.Session:
    """Connections to the archive, as it wants to be spoken to; to be closed."""
    session: requests.Session = create_session()
    if settings.user:
        session.auth = (settings.user, settings.password.get_secret_value())
    token = settings.token.get_secret_value()
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    if settings.ca is not None:
        session.verify = str(settings.ca)
    return session


def client_of(settings: ArchiveSettings, session: requests.Session) -> DICOMwebClient:
    """A client of the archive that asks once."""
    client = DICOMwebClient(
        settings.url, session=session, permissive_uid=True, timeout=settings.timeout_s
    )
    client.set_http_retry_params(retry=False)  # whoever asks waits in a way of their own
    return client


class DicomWeb:
    """`Archive` over HTTP."""

    def __init__(self, settings: ArchiveSettings) -> None:
        self._session = session_of(settings)
        self._client = client_of(settings, self._session)

    def close(self) -> None:
        """Nothing is kept open between requests but connections."""
        self._session.close()

    def study(self, uid: str) -> bytes | None:
        """What is known of a study."""
        filters = {"StudyInstanceUID": uid}
        found = self._asked(
            lambda: self._client.search_for_studies(
                search_filters=filters, fields=list(_STUDY_FIELDS)
            )
        )
        return json.dumps(found[0]).encode() if found else None

    def objects(self, uid: str) -> Iterator[bytes]:
        """What of a study holds more than pictures."""
        for modality in MODALITIES:
            filters = {"Modality": modality}
            listed = self._asked(
                partial(
                    self._client.search_for_instances,
                    uid,
                    search_filters=filters,
                    get_remaining=True,
                )
            )
            for one in listed:
                sop_class = _value(one, "00080016")
                if is_read(sop_class):
                    series, instance = _value(one, "0020000E"), _value(one, "00080018")
                    ask = self._header if sop_class in SEGMENTATIONS else self._object
                    yield self._asked(partial(ask, uid, series, instance))

    def _object(self, study: str, series: str, instance: str) -> bytes:
        return without_pixels(self._client.retrieve_instance(study, series, instance))

    def _header(self, study: str, series: str, instance: str) -> bytes:
        """Of a segmentation, what it says: its pixels may be many."""
        found = self._client.retrieve_instance_metadata(study, series, instance)
        dataset = Dataset.from_json(found, bulk_data_uri_handler=lambda _: None)
        return as_file(dataset)

    def _asked(self, ask: Callable[[], _Answer]) -> _Answer:
        try:
            return ask()
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            kind = UnusableError if status in _OF_THIS_STUDY else AwayError
            raise kind(f"HTTP {status}") from None
        except (requests.RequestException, OSError) as error:
            raise AwayError(type(error).__name__) from None
        except Exception as error:  # noqa: BLE001 - what comes back may be anything
            raise UnusableError(type(error).__name__) from None


def _value(instance: dict[str, Any], tag: str) -> str:
    values = instance.get(tag, {}).get("Value") or [""]
    return str(values[0])
