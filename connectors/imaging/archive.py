"""An imaging archive, asked by DICOMweb (QIDO-RS, WADO-RS; PS3.18)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session

from connectors.imaging.report_contents import REPORTS
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

    def reports(self, uid: str) -> Iterator[bytes]:
        """The structured reports of a study, PS3.10."""


class DicomWeb:
    """`Archive` over HTTP."""

    def __init__(self, settings: ArchiveSettings) -> None:
        session = create_session()
        if settings.user:
            session.auth = (settings.user, settings.password.get_secret_value())
        token = settings.token.get_secret_value()
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        if settings.ca is not None:
            session.verify = str(settings.ca)
        self._client = DICOMwebClient(
            settings.url, session=session, permissive_uid=True, timeout=settings.timeout_s
        )
        self._client.set_http_retry_params(retry=False)  # the fetcher waits, in its own way

    def study(self, uid: str) -> bytes | None:
        """What is known of a study."""
        filters = {"StudyInstanceUID": uid}
        found = self._asked(
            lambda: self._client.search_for_studies(
                search_filters=filters, fields=list(_STUDY_FIELDS)
            )
        )
        return json.dumps(found[0]).encode() if found else None

    def reports(self, uid: str) -> Iterator[bytes]:
        """The structured reports of a study."""
        listed = self._asked(
            lambda: self._client.search_for_instances(
                uid, search_filters={"Modality": "SR"}, get_remaining=True
            )
        )
        for one in (one for one in listed if _value(one, "00080016").startswith(REPORTS)):
            series, instance = _value(one, "0020000E"), _value(one, "00080018")
            yield self._asked(partial(self._object, uid, series, instance))

    def _object(self, study: str, series: str, instance: str) -> bytes:
        dataset = self._client.retrieve_instance(study, series, instance)
        out = io.BytesIO()
        dataset.save_as(out, enforce_file_format=True)
        return out.getvalue()

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
