"""Alerts by mail: a headline, the pseudonym and a link. Nothing else of the patient.

Mail is neither private nor prompt. It says that there is something to look at, and where.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from connectors.clock import from_iso, iso
from connectors.contract import Alert
from connectors.sinks.links import headline, link
from connectors.sinks.notice import Notice, RefusedError, UnavailableError, short
from connectors.sinks.settings import MailReceiver

_STEPS = 8  # of a delivery, each with a time limit of its own: connect, greet, TLS, log in, …


class Mailbox:
    """`Sink` for an SMTP server. smtplib blocks, so each mailbox has threads of its own."""

    def __init__(
        self, settings: MailReceiver, password: str, links: str, tls: ssl.SSLContext
    ) -> None:
        self._settings, self._password, self._links, self._tls = settings, password, links, tls
        self._threads = ThreadPoolExecutor(settings.parallel, thread_name_prefix="mail")

    async def send(self, notice: Notice) -> None:
        """Hand one mail to the server. Raises `UnavailableError`, `RefusedError`."""
        mail = compose(notice, self._settings, self._links)
        loop = asyncio.get_running_loop()
        try:
            # A server that answers a byte at a time keeps its thread, and no alert.
            async with asyncio.timeout(_STEPS * self._settings.timeout_s):
                await loop.run_in_executor(self._threads, self._deliver, mail)
        except TimeoutError:
            raise UnavailableError("no end of it in time") from None

    async def close(self) -> None:
        """Attempts under way end by their own time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _deliver(self, mail: EmailMessage) -> None:
        s = self._settings
        try:
            with self._connect() as server:
                if s.security == "starttls":
                    server.starttls(context=self._tls)
                if s.user:
                    server.login(s.user, self._password)
                server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _judged(max(codes, default=550), "no recipient is accepted") from None
        except smtplib.SMTPResponseException as error:  # its text may quote the mail
            raise _judged(error.smtp_code, f"answered {error.smtp_code}") from None
        except smtplib.SMTPNotSupportedError:
            raise RefusedError(
                "the server offers no STARTTLS or no log-in: see `security` and `user`"
            ) from None
        except smtplib.SMTPServerDisconnected:
            raise UnavailableError("the server hung up") from None
        except ssl.SSLCertVerificationError as error:
            words = f"its certificate is not trusted: {error.verify_message}"
            raise UnavailableError(words) from None
        except (OSError, smtplib.SMTPException) as error:
            raise UnavailableError(f"cannot be reached ({type(error).__name__})") from None

    def _connect(self) -> smtplib.SMTP:
        s = self._settings
        if s.security == "tls":
            return smtplib.SMTP_SSL(s.host, s.port, timeout=s.timeout_s, context=self._tls)
        return smtplib.SMTP(s.host, s.port, timeout=s.timeout_s)


def _judged(code: int, text: str) -> UnavailableError | RefusedError:
    """4xx may pass, 5xx will not (RFC 5321); a refused log-in (535) is mended by people."""
    return UnavailableError(text) if code < 500 or code in (530, 535) else RefusedError(text)


def compose(notice: Notice, settings: MailReceiver, links: str) -> EmailMessage:
    """The mail. Its Message-ID is the same for every attempt."""
    mail = EmailMessage()
    mail["From"], mail["To"] = settings.sender, ", ".join(settings.to)
    mail["Subject"] = _subject(notice)
    mail["Date"] = format_datetime(datetime.fromtimestamp(notice.at, UTC))
    domain = settings.sender.rpartition("@")[2] or "tocsin"
    mail["Message-ID"] = f"<{short(notice.key)}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers this
    mail.set_content("\n".join(line for a in notice.alerts for line in _lines(notice, a, links)))
    return mail


def _subject(notice: Notice) -> str:
    first = headline(notice.alerts[0], test=notice.test)
    more = len(notice.alerts) - 1
    reminder = "Reminder: " if notice.repeat else ""
    return f"{reminder}{first}{f', and {more} more' if more else ''}"


def _lines(notice: Notice, alert: Alert, links: str) -> list[str]:
    address = link(links, alert)
    return [
        headline(alert, test=notice.test),
        f"Patient {alert.patient} (a pseudonym), alert {alert.alert_id}, revision {alert.revision}",
        f"At {iso(from_iso(alert.at))}",
        address or "Look it up in the console.",
        "",
    ]
