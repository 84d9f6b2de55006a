"""Checks of what Tocsin takes in beside HL7: the HTTP port, and the imaging archive."""

from __future__ import annotations

from connectors.tls import TlsError, server_context
from streams.doctor.finding import Findings, ok, problem, warning
from streams.settings import Settings

_NO_STUDY = "1.2.3.4.5"  # asked for, to see whether anybody answers


def http(settings: Settings) -> Findings:
    """Whether the HTTP port may open, and who may send to it."""
    from connectors.http.senders import Senders, SendersError  # noqa: PLC0415 - not for every check

    try:
        senders = Senders(settings.http)
        server_context(settings.http.tls)
    except SendersError as error:
        yield problem("http", str(error))
    except TlsError as error:
        yield problem("http", f"http.tls {error}.")
    else:
        yield ok("http", f"open to {senders.who}")


def archive(settings: Settings) -> Findings:
    """Whether the archive that the settings name answers."""
    from connectors.imaging.archive import AwayError, UnusableError  # noqa: PLC0415 - pydicom
    from connectors.imaging.process import peer_of  # noqa: PLC0415 - pynetdicom

    where = settings.archive.url or settings.archive.address
    if not where:
        yield ok("archive", "none is named: no measurements are fetched")
        return
    # A query is enough; the port for C-MOVE may be in use, by Tocsin itself.
    asked = settings.archive.model_copy(update={"retrieve": "c-get"})
    peer = peer_of(asked, settings.imaging)
    try:
        peer.study(_NO_STUDY)
    except AwayError as error:
        yield problem(
            "archive", f"{where} does not answer ({error}): start it, or correct [archive]."
        )
    except UnusableError as error:
        yield warning("archive", f"{where} answers, but not to a query ({error}).")
    else:
        yield ok("archive", f"{where} answers")
    finally:
        peer.close()
