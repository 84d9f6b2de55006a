"""An imaging archive, asked by DICOMweb (QIDO-RS, WADO-RS; PS3.18)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, Final, Protocol

import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session

from connectors.imaging.report_contents import REPORTS
from connectors.settings import ArchiveSettings

MOST_OBJECTS: Final = 200  # reports of one study
_STUDY_FIELDS: Final = ("00080061", "00100021", "00201206", "00201208")


class AwayError(Exception):
    """The archive does not answer, or not as it should: later it may."""


class Archive(Protocol):
    """Raises `AwayError`."""

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
            lambda: self._client.search_for_instances(uid, search_filters={"Modality": "SR"})
        )
        wanted = [one for one in listed if _value(one, "00080016").startswith(REPORTS)]
        for one in wanted[:MOST_OBJECTS]:
            series, instance = _value(one, "0020000E"), _value(one, "00080018")
            yield self._asked(lambda s=series, i=instance: self._object(uid, s, i))

    def _object(self, study: str, series: str, instance: str) -> bytes:
        dataset = self._client.retrieve_instance(study, series, instance)
        out = io.BytesIO()
        dataset.save_as(out, enforce_file_format=True)
        return out.getvalue()

    def _asked(self, ask: Any) -> Any:
        try:
            return ask()
        except (requests.RequestException, ValueError, OSError, AttributeError, KeyError) as error:
            raise AwayError(type(error).__name__) from None


def _value(instance: dict[str, Any], tag: str) -> str:
    values = instance.get(tag, {}).get("Value") or [""]
    return str(values[0])
