"""Sign-in by OpenID Connect, at an issuer in a process of its own: browsers, programs, roles."""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streams.console.access import FHIR, PAGES, ROUTES
from streams.console.sign_in.development import CLIENT, PEOPLE, SECRET
from streams.local.process import free_port
from streams.roles import INCLUDES, Role
from tests.acceptance.console.conftest import ROOT, FakeServer
from tests.acceptance.console.test_console_api import events
from tests.acceptance.console.test_console_edge import ask
from tests.acceptance.console.test_console_pages import patient_path, row

Start = Callable[..., FakeServer]
NewPage = Callable[..., Any]


def request(
    url: str, method: str = "GET", body: str = "", headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=60)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path or "/", body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The development issuer's address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "issuer", "--port", str(port)],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("TOCSIN_")},
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 120
    while True:
        try:
            request(f"{url}/keys")
            break
        except ConnectionError:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(timeout=60)


@pytest.fixture(scope="module")
def signed(issuer: str) -> Iterator[FakeServer]:
    """A console with a sign-in, for tests that leave nothing behind."""
    server = FakeServer("--issuer", issuer)
    yield server
    server.stop()


def token(issuer: str, person: str) -> dict[str, str]:
    """Headers of a program that acts for somebody."""
    secret = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    status, _, body = request(
        f"{issuer}/token",
        "POST",
        urlencode({"grant_type": "client_credentials", "person": person}),
        {
            "authorization": f"Basic {secret}",
            "content-type": "application/x-www-form-urlencoded",
        },
    )
    assert status == 200
    return {"Authorization": f"Bearer {json.loads(body)['access_token']}"}


def test_nobody_is_answered_before_the_sign_in(signed: FakeServer, issuer: str) -> None:
    """Pages lead to it, data are refused, and a web socket is not opened."""
    console = signed
    status, headers, body = ask(console, "/patient/p-1?x=1")
    assert (status, headers["location"]) == (303, "/sign-in?next=/patient/p-1%3Fx%3D1")
    status, headers, body = ask(console, "/api/v1/alerts")
    assert (status, headers["content-type"]) == (401, "application/problem+json")
    assert headers["www-authenticate"] == "Bearer"
    assert ask(console, "/_nicegui_ws/socket.io/?EIO=4&transport=polling")[0] == 401
    assert ask(console, "/api/v1/alerts", {"Cookie": "tocsin-session=x"})[0] == 401
    assert b"Lindqvist" not in body


def test_a_token_opens_what_its_role_may(start_console: Start, issuer: str) -> None:
    """Each route by the table; a role that is not enough is 403, not 401."""
    console = start_console("--issuer", issuer)
    lookup = "/api/v1/pseudonym?id=CITY%7CMR%7C100003"
    for person, alerts, quarantine, number in (
        ("rea", 200, 403, 403),
        ("ada", 200, 403, 200),
        ("olu", 200, 200, 403),
        ("ira", 200, 200, 403),
        ("kim", 200, 200, 200),
    ):
        bearer = token(issuer, person)
        assert ask(console, "/api/v1/alerts", bearer)[0] == alerts
        assert ask(console, "/api/v1/quarantine", bearer)[0] == quarantine
        assert ask(console, lookup, bearer)[0] == number
    assert console.tell("audit") == [[[f"p-{3:026d}"], who] for who in ("ada", "kim")]


def status_of(console: FakeServer, route: str, headers: dict[str, str]) -> int:
    """Of a route of the table, asked with names that nothing has; the answer is not read."""
    method, path = route.split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=60)
    try:
        body, kind = (
            ("{}", {"content-type": "application/json"}) if method == "POST" else (None, {})
        )
        connection.request(method, re.sub(r"\{\w+\}", "none", path), body, headers | kind)
        return connection.getresponse().status
    finally:
        connection.close()


def test_routes_open_for_the_roles_of_the_table_alone(signed: FakeServer, issuer: str) -> None:
    """Each route asked by each role: 403 for those who may not, never for those who may; and
    nobody gets a server's error."""
    console = signed
    people = {role: token(issuer, person) for person, (_, role) in PEOPLE.items()}
    assert set(people) == set(Role)
    for route, needed in (ROUTES | FHIR).items():
        assert status_of(console, route, {}) == 401, route
        for role, bearer in people.items():
            status = status_of(console, route, bearer)
            assert (status == 403) is (needed not in INCLUDES[role]), (route, role, status)
            assert status < 500, (route, role, status)


def test_pages_open_for_the_roles_of_the_table_alone(signed: FakeServer, issuer: str) -> None:
    """Who may not is told which role is needed, and is sent nothing else."""
    console = signed
    for person, (_, role) in PEOPLE.items():
        cookie = {"Cookie": signed_in(console, person)}
        for path, needed in PAGES.items():
            status, _, body = ask(console, re.sub(r"\{\w+\}", "none", path), cookie)
            refused = status == 403 or b"This page needs the role" in body
            assert refused is (needed not in INCLUDES[role]), (path, role, status)
            assert status < 500, (path, role, status)


def test_a_token_of_somebody_else_is_none(signed: FakeServer, issuer: str) -> None:
    """Another issuer's key, a changed claim, no signature at all; and a page takes no token."""
    console = signed
    good = token(issuer, "ada")["Authorization"].removeprefix("Bearer ")
    head, claims, seal = good.split(".")
    more = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"roles": ["admin"]}
    other = base64.urlsafe_b64encode(json.dumps(more).encode()).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for bad in (f"{head}.{other}.{seal}", f"{unsigned}.{other}.", "x", "", f"{good}x"):
        status, _, _ = ask(console, "/api/v1/alerts", {"Authorization": f"Bearer {bad}"})
        assert status == 401, bad
    assert ask(console, "/", {"Authorization": f"Bearer {good}"})[0] == 303


def test_a_sign_in_that_was_begun_elsewhere_is_refused(signed: FakeServer, issuer: str) -> None:
    """Another browser's state, an invented one, and a way back that leads off the console."""
    console = signed
    _, headers, _ = request(f"{console.url}/sign-in?next=https://evil.example/")
    _, back, _ = request(f"{headers['location']}&person=ada")
    assert request(back["location"])[0] == 400  # no cookie: another browser
    assert request(f"{console.url}/sign-in/back?code=x&state=y")[0] == 400

    _, headers, _ = request(f"{console.url}/sign-in?next=//evil.example/")
    cookie = headers["set-cookie"].partition(";")[0]
    _, back, _ = request(f"{headers['location']}&person=ada")
    status, answer, _ = request(back["location"], headers={"Cookie": cookie})
    assert (status, answer["location"]) == (303, "/")
    again = request(back["location"], headers={"Cookie": cookie})
    assert again[0] == 400  # a code is for once


def certificate(folder: Path) -> Path:
    """Of 127.0.0.1, signed by itself: key and certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    file = folder / "tls.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_cookies_of_a_session_stay_with_the_browser(
    start_console: Start, issuer: str, tmp_path: Path
) -> None:
    """Over TLS: Secure, HttpOnly, SameSite, and bound to the host."""
    console = start_console("--issuer", issuer, "--certificate", str(certificate(tmp_path)))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def get(path: str, cookie: str = "") -> http.client.HTTPMessage:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", console.port, timeout=60, context=context
        )
        connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.headers

    begun = get("/sign-in")
    _, back, _ = request(f"{begun['location']}&person=ada")
    parts = urlsplit(back["location"])
    done = get(f"{parts.path}?{parts.query}", begun["set-cookie"].partition(";")[0])
    session = next(
        c for c in done.get_all("set-cookie", []) if c.startswith("__Host-tocsin-session=")
    )
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= {
        part.strip().lower() for part in session.split(";")
    }
    assert get("/", session.partition(";")[0])["location"] is None


def signed_in(console: FakeServer, person: str, back_at: FakeServer | None = None) -> str:
    """The cookie of a new session; the issuer sends the browser back to `back_at`."""
    _, headers, _ = request(f"{console.url}/sign-in")
    begun = headers["set-cookie"].partition(";")[0]
    _, back, _ = request(f"{headers['location']}&person={person}")
    location = back["location"]
    if back_at is not None:
        location = location.replace(console.url, back_at.url)
    status, answer, _ = request(location, headers={"Cookie": begun})
    assert status == 303
    cookies = answer.get_all("set-cookie", [])
    return next(c for c in cookies if c.startswith("tocsin-session=")).partition(";")[0]


def test_a_stream_of_events_ends_with_its_session(start_console: Start, issuer: str) -> None:
    """What happens after the sign-out is not told any more."""
    console = start_console("--issuer", issuer)
    cookie = signed_in(console, "ada")
    with events(console, "?kind=alert", cookie=cookie) as stream:
        console.tell("alert 20")
        assert json.loads(next(stream)[2])["patient"] == f"p-{20:026d}"
        request(f"{console.url}/sign-in/out", "POST", headers={"Cookie": cookie})
        console.tell("alert 21")
        assert list(stream) == []


@pytest.mark.redis
def test_a_session_outlives_its_console_and_ends_at_all(
    start_console: Start, issuer: str, redis_url: str
) -> None:
    """Two consoles, one Redis: sign in here, work there after a power cut here; sign out, and it is
    over."""
    arguments = ("--issuer", issuer, "--redis", redis_url)
    one, two = start_console(*arguments), start_console(*arguments)
    cookie = {"Cookie": signed_in(one, "ada")}
    one.kill()
    assert ask(two, "/api/v1/alerts", cookie)[0] == 200
    status, headers, _ = request(f"{two.url}/sign-in/out", "POST", headers=cookie)
    assert (status, headers["location"]) == (303, "/sign-in/bye")
    assert two.tell("notes") == [{"event": "signed_out", "who": "ada"}]
    assert ask(two, "/api/v1/alerts", cookie)[0] == 401
    assert ask(two, "/", cookie)[1]["location"] == "/sign-in?next=/"


@pytest.mark.browser
@pytest.mark.slow
def test_people_see_what_their_role_may_and_sign_out(
    start_console: Start, new_page: NewPage, issuer: str
) -> None:
    """A clinician sees names, a reader pseudonyms; who looked is who signed in."""
    console = start_console("--issuer", issuer)
    page = new_page()
    page.goto(console.url + patient_path(1))
    page.get_by_role("link", name="Dr Ada Lindqvist").click()
    page.wait_for_selector("h1:has-text('Lindqvist, Ingrid')")
    assert page.url == console.url + patient_path(1)
    assert page.get_by_text("Dr Ada Lindqvist").is_visible()
    assert page.get_by_text("Demonstration without sign-in").count() == 0
    assert page.get_by_text("Development sign-in without passwords").is_visible()
    assert page.get_by_role("link", name="Quarantine").count() == 0
    assert console.tell("audit") == [[[f"p-{1:026d}"], "ada"]]
    assert console.tell("notes") == [{"event": "signed_in", "who": "ada", "roles": ["clinician"]}]
    page.goto(f"{console.url}/quarantine")
    page.wait_for_selector("text=This page needs the role operator.")

    other = page.context.new_page()
    other.goto(console.url)
    other.wait_for_selector(row(1))
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_selector("text=You are signed out of this console.")
    other.wait_for_url("**/authorize**")  # the other tab shows nothing more either

    reader = new_page()
    reader.goto(console.url)
    reader.get_by_role("link", name="Rea Novak").click()
    reader.wait_for_selector(row(1))
    assert f"p-{1:026d}" in reader.inner_text(row(1))
    assert "Lindqvist" not in reader.inner_text("main, .lists")
