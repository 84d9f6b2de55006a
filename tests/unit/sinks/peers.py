"""Receivers that share no code with ours: a web server, an HL7 system, a mail server.

Each runs in threads of its own, can be slow, refuse, hang or die, and keeps what it got.
"""

from __future__ import annotations

import base64
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import hl7
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's: it outlives a test
_START, _END = b"\x0b", b"\x1c\x0d"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def until(condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
    """Wait for something that another thread or process does in its own time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


class _Peer:
    """Started and stopped with a `with` block."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


class WebPeer(_Peer):
    """Answers as told: `status` for every request, `statuses` first, after `delay_s`."""

    def __init__(self, secret: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.bodies: list[Any] = []
        self.ids: list[str] = []
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bad_signatures = 0
        self.status, self.delay_s, self.answer = 200, 0.0, b""
        self.statuses: list[int] = []
        self.drips = False  # an answer that never ends
        self.more_headers: dict[str, str] = {}
        self._secret, self._tls = secret, tls
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}/hook"

    def start(self) -> None:
        """Listen, on the same port as before."""
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                peer.take(self)

            def do_PUT(self) -> None:
                peer.take(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Clients that go away are part of the tests."""

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, request: BaseHTTPRequestHandler) -> None:
        """One request."""
        body = request.rfile.read(int(request.headers["content-length"]))
        time.sleep(self.delay_s)
        status = self.statuses.pop(0) if self.statuses else self.status
        if self._secret:
            try:
                Verifier(self._secret).verify(body, dict(request.headers))
            except WebhookVerificationError:
                self.bad_signatures += 1
                status = 401
        if status < 300:
            self.bodies.append(json.loads(body))
            self.requests.append(f"{request.command} {request.path}")
            self.ids.append(request.headers.get("webhook-id", ""))
            self.headers.append({n.lower(): v for n, v in request.headers.items()})
        with suppress(OSError):
            request.send_response(status)
            for name, value in self.more_headers.items():
                request.send_header(name, value)
            if self.drips:
                request.send_header("content-length", "1000000")
                request.end_headers()
                while True:
                    request.wfile.write(b".")
                    request.wfile.flush()
                    time.sleep(0.02)
            request.send_header("content-length", str(len(self.answer)))
            request.end_headers()
            request.wfile.write(self.answer)

    def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class Hl7Peer(_Peer):
    """An HL7 system on a bare socket; python-hl7 reads messages and writes acknowledgements."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.messages: list[Any] = []
        self.replies: list[Any] = []  # what came back for what it said by itself
        self.silent, self.delay_s = False, 0.0
        self.codes: list[str] = []  # in place of a positive acknowledgement
        self.says: list[bytes] = []  # sent after the next acknowledgement
        self._tls = tls
        self.port = 0
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        with suppress(OSError), connection:
            while chunk := connection.recv(65_536):
                data += chunk
                while _END in data:
                    frame, _, data = data.partition(_END)
                    self._take(connection, frame.lstrip(_START))

    def _take(self, connection: socket.socket, frame: bytes) -> None:
        message = hl7.parse(frame.decode())
        if str(message.segment("MSH")[9]).startswith("ACK"):
            self.replies.append(message)
            return
        time.sleep(self.delay_s)
        if self.silent:
            return
        # As the sender asks: an accept acknowledgement, or (MSH-15 blank) an application's.
        good = "CA" if str(message.segment("MSH")[15]) else "AA"
        code = self.codes.pop(0) if self.codes else good
        if code.endswith("A"):
            self.messages.append(message)
        connection.sendall(_START + str(message.create_ack(code)).encode() + _END)
        for said in self.says:
            connection.sendall(_START + said + _END)
        self.says = []

    def stop(self) -> None:
        """Close the port and hang up, as a system that was switched off."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()


class MailPeer(_Peer):
    """aiosmtpd, with STARTTLS and a log-in where wanted."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, user: str = "", password: str = ""
    ) -> None:
        self.mails: list[bytes] = []
        self.refuse = ""  # e.g. "450 later"
        self._tls, self._login = tls, (user.encode(), password.encode())
        self.port = 0
        self._controller: Controller | None = None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(envelope.content)
        return "250 OK"

    def _authenticate(self, server: Any, session: Any, envelope: Any, how: str, data: Any) -> Any:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == self._login
        return AuthResult(success=good)

    def start(self) -> None:
        """Listen, on the same port as before."""
        options: dict[str, Any] = {}
        if self._tls is not None:
            options |= {"tls_context": self._tls, "require_starttls": True}
        if self._login[0]:
            options |= {
                "authenticator": self._authenticate,
                "auth_required": True,
                "auth_require_tls": self._tls is not None,
            }

        class Own(Controller):
            def factory(self) -> SMTP:
                return SMTP(self.handler, hostname="peer", **options)

        with socket.create_server(("127.0.0.1", self.port)) as free:
            self.port = free.getsockname()[1]
        self._controller = Own(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Close the port."""
        if self._controller is not None:
            self._controller.stop(no_assert=True)
            self._controller = None


def webhook(peer: WebPeer, **more: Any) -> dict[str, Any]:
    """A receiver as people write it in the settings; the two below likewise."""
    return {"kind": "webhook", "url": peer.url, "secret": SECRET, **more}


def mllp(peer: Hl7Peer, **more: Any) -> dict[str, Any]:
    return {"kind": "mllp", "host": "127.0.0.1", "port": peer.port, **more}


def mail(peer: MailPeer, **more: Any) -> dict[str, Any]:
    base = {"kind": "mail", "host": "127.0.0.1", "port": peer.port, "security": "none"}
    return {**base, "sender": "tocsin@h.example", "to": ["ward@h.example"], **more}


def server_tls(certificate: Any, key: Any) -> ssl.SSLContext:
    """TLS for a peer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
