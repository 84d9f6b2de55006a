"""`make setup`: .venv with all packages, Kafka's jars, a Java, a Redis, Chromium for the tests.

Runs before anything is installed, with any Python 3 that is there: standard library only, and no
syntax newer than Python 3.6, so that an old one can at least say what to do.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / "bin"
REQUIREMENTS = ROOT / "requirements"
# Noted in .venv: what it was made for, that packages are being installed, what was installed.
MADE, BUSY, DONE = VENV / ".made", VENV / ".busy", VENV / ".done"
# The one that is tested most comes first.
CANDIDATES = ("python3.11", "python3.12", "python3.13", "python3", "python")
SUPPORTED = ((3, 11), (3, 12), (3, 13))
_ASK = """
import sys
try:
    import ensurepip, venv
    usable = "yes"
except ImportError:
    usable = "no"
print("%d.%d" % sys.version_info[:2], usable, sys.executable)
"""


class SetupError(Exception):
    """What is missing, and what to do."""


def say(line):
    """A step."""
    print(line)
    sys.stdout.flush()


def run(command, **options):
    """Run a command; its exit status."""
    return subprocess.call([str(part) for part in command], cwd=str(ROOT), **options)


def ask(command):
    """The output of a command, or nothing when it cannot be run or fails."""
    try:
        output = subprocess.check_output(
            [str(part) for part in command], stderr=subprocess.DEVNULL, cwd=str(ROOT)
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return output.decode().strip()


def find_python():
    """A supported Python that can make virtual environments. Raises SetupError."""
    seen = []
    for name in CANDIDATES:
        # A name on PATH may be a stub that only complains: what counts is that it runs.
        answer = ask([name, "-c", _ASK]).split(" ", 2)
        if len(answer) != 3:
            continue
        version, usable, path = answer
        if tuple(int(n) for n in version.split(".")) not in SUPPORTED:
            seen.append("%s is %s" % (name, version))
        elif usable == "no":
            seen.append(
                "%s lacks venv (Debian, Ubuntu: apt-get install python%s-venv)" % (name, version)
            )
        else:
            return path
    raise SetupError(
        "No usable Python was found (%s): install Python 3.11, 3.12 or 3.13 with venv, then run "
        "`make setup` again." % ("; ".join(seen) or "none on PATH")
    )


def make_venv():
    """.venv, unless it is there and works."""
    if BUSY.is_file():
        say("removing .venv: an earlier installation was interrupted")
        shutil.rmtree(str(VENV))
    # The folder may have been copied or moved, or its Python removed.
    purpose = "%s\n" % VENV
    if MADE.is_file() and MADE.read_text() == purpose and ask([BIN / "python", "-c", "print(1)"]):
        return
    python = find_python()
    if VENV.exists():
        say("removing .venv: it does not work here")
        shutil.rmtree(str(VENV))
    say("making .venv with %s" % python)
    if run([python, "-m", "venv", VENV]):
        raise SetupError(".venv could not be made with %s: see above." % python)
    MADE.write_text(purpose)


def install_packages():
    """The pinned packages and Tocsin itself, unless these very ones are installed."""
    digest = hashlib.sha256()
    for name in ("uv.txt", "all.txt"):
        digest.update((REQUIREMENTS / name).read_bytes())
    digest.update((ROOT / "pyproject.toml").read_bytes())
    if DONE.is_file() and DONE.read_text() == digest.hexdigest():
        return
    BUSY.touch()
    environment = dict(os.environ, **mirror())
    environment["VIRTUAL_ENV"] = str(VENV)
    pip = [BIN / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    uv = [BIN / "uv", "pip", "install"]
    steps = (
        ("installing uv", pip + ["--require-hashes", "-r", REQUIREMENTS / "uv.txt"]),
        (
            "installing packages (several GB the first time: torch brings CUDA)",
            uv + ["--require-hashes", "-r", REQUIREMENTS / "all.txt"],
        ),
        ("installing tocsin", uv + ["--no-deps", "--no-build-isolation", "--editable", "."]),
    )
    for what, command in steps:
        say(what)
        if run(command, env=environment):
            raise SetupError(
                "%s failed (see above): check the network and the disk, then run `make setup` "
                "again." % (what[0].upper() + what[1:].split(" (")[0])
            )
    DONE.write_text(digest.hexdigest())
    BUSY.unlink()


def mirror():
    """pip's own package index, for uv, which does not read pip's configuration."""
    if os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL"):
        return {}
    for line in ask([BIN / "python", "-m", "pip", "config", "list"]).splitlines():
        key, _, value = line.partition("=")
        if key in ("global.index-url", ":env:.index-url"):
            return {"UV_DEFAULT_INDEX": value.strip("'\"")}
    return {}


def bring_servers():
    """Kafka's jars, a Java and a Redis."""
    if run([BIN / "python", "-m", "streams.local.tools"]):
        raise SetupError("The servers for a local run are not complete: see above.")


def bring_chromium():
    """Chromium for the browser tests: a system package, so only where that is allowed."""
    if ask([BIN / "python", "-m", "streams.local.chromium"]):
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
    prefix = elevation()
    if prefix is not None and shutil.which("apt-get"):
        say("installing Chromium for the browser tests")
        quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        log = ROOT / ".local" / "chromium.log"
        with log.open("w") as output:
            run(prefix + ["apt-get", "update"], env=quiet, stdout=output, stderr=output)
            failed = run(prefix + install, env=quiet, stdout=output, stderr=output)
        if not failed and ask([BIN / "python", "-m", "streams.local.chromium"]):
            return
        say("  Chromium could not be installed: see %s" % log)
    else:
        say("  Chromium is not installed. For the browser tests: sudo " + " ".join(install))
    if os.environ.get("CI"):
        raise SetupError("CI needs Chromium, so that the browser tests are not skipped.")
    say("  Without it the browser tests are skipped; everything else works.")


def elevation():
    """What to put before a command to run it as root; None when that is not possible."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.call(
            ["sudo", "-n", "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        == 0
    ):
        return ["sudo", "-n"]
    return None


def main():
    """All steps; 1 with one sentence when one fails."""
    if os.name != "posix":
        raise SetupError("Tocsin runs on Linux and macOS; on Windows use WSL.")
    (ROOT / ".local").mkdir(exist_ok=True)
    import fcntl  # not on Windows

    with (ROOT / ".local" / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SetupError(
                "Another `make setup` is at work here: wait until it has ended."
            ) from None
        for step in (make_venv, install_packages, bring_servers, bring_chromium):
            step()
    say("ready")


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit("make setup: %s" % error)
    except KeyboardInterrupt:
        sys.exit("make setup: interrupted; run it again to go on.")
