"""What all suites share: cases, one JSON line for each, and a client that is called the same way whether it is async or not."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path

MACHINE = "cluster"
#: Of one part of a staged object, and a file that takes two of them.
PART_BYTES = 8 * 1024 * 1024
LARGE = bytes(index * 7 % 251 for index in range(1000)) * 11_000
CASE_SECONDS = 60

#: A job that reports its whole surroundings into files that the cases look at.
JOB = """#!/bin/bash
#SBATCH --job-name=conformance
#SBATCH --time=00:05:00
#SBATCH --output=%x-%j.out
#SBATCH --error=%x-%j.err
echo "hello from ${SLURM_JOB_ID}"
echo "careful" >&2
echo "${GREETING:-none}" > greeting.txt
"""
LONG_JOB = "#!/bin/bash\n#SBATCH --job-name=long\n#SBATCH --time=00:10:00\ntouch started\nsleep 600\n"


class Site:
    """The server under test, and one user's files on this machine's disk."""

    def __init__(self, facts: dict):
        self.v1_url: str = facts["v1Url"]
        self.v2_url: str = facts["v2Url"]
        self.token_url: str = facts["tokenUrl"]
        self.client_id: str = facts["clientId"]
        self.client_secret: str = facts["clientSecret"]
        self.user: str = facts["user"]
        self.release: str = facts["release"]
        self.home = Path(facts["home"])
        #: Files of the person at this end.
        self.desk = Path(facts["desk"])
        self._faults_url: str = facts["url"] + "/_control/faults"
        self._places = 0

    def place(self) -> Path:
        """A new, empty directory of the user's on the machine."""
        self._places += 1
        place = self.home / f"case-{self._places}"
        place.mkdir()
        return place

    def local(self, name: str, content: bytes | str) -> Path:
        """A file at this end."""
        path = self.desk / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def fault(self, **fault) -> None:
        """Has the server err the given way."""
        request = urllib.request.Request(self._faults_url, json.dumps(fault).encode(), method="POST")
        urllib.request.urlopen(request).close()

    def faults_struck(self) -> int:
        with urllib.request.urlopen(self._faults_url) as answer:
            return sum(fault["struck"] for fault in json.load(answer)["faults"])

    def clear_faults(self) -> None:
        urllib.request.urlopen(urllib.request.Request(self._faults_url, method="DELETE")).close()


class Plain:
    """Stands before a client (or what a client returned): awaitables are awaited, and what was used is written down."""

    def __init__(self, inner, loop, used: set):
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "_loop", loop)
        object.__setattr__(self, "_used", used)

    def __getattr__(self, name):
        self._used.add((type(self.inner).__name__, name))
        value = getattr(self.inner, name)
        if callable(value):
            return lambda *args, **kwargs: self._plain(value(*args, **kwargs))
        return self._plain(value)

    def __setattr__(self, name, value):
        setattr(self.inner, name, value)

    def _plain(self, value):
        if inspect.isawaitable(value):
            value = self._loop.run_until_complete(value)
        is_theirs = type(value).__module__.startswith("firecrest.") and not isinstance(value, (dict, BaseException))
        return Plain(value, self._loop, self._used) if is_theirs else value


def public_names(kind: type) -> set:
    """Methods and properties of a class that are meant for its users."""
    return {
        (kind.__name__, name)
        for name, value in inspect.getmembers(kind)
        if not name.startswith("_") and (callable(value) or isinstance(value, property))
    }


def clients_of(api, is_async: bool) -> list:
    """The classes of an API that its users meet: exported, of one kind, and with nothing exported that is made of them."""
    exported = [
        kind for name, kind in inspect.getmembers(api, inspect.isclass)
        if name.startswith("Async") == is_async and not issubclass(kind, BaseException) and not name.endswith("Auth")
    ]
    return [kind for kind in exported if not any(other is not kind and issubclass(other, kind) for other in exported)]


class Suite:
    """Cases in the order in which they are written. The name of a case is its docstring."""

    def __init__(self):
        self._cases = []

    def case(self, function):
        self._cases.append(function)
        return function

    def run(self, site: Site, subject) -> None:
        signal.signal(signal.SIGALRM, took_too_long)
        for function in self._cases:
            began = time.monotonic()
            line = {"case": function.__doc__, "error": None}
            signal.alarm(CASE_SECONDS)
            try:
                function(site, subject)
            except BaseException:
                line["error"] = traceback.format_exc(limit=6)
            finally:
                signal.alarm(0)
                site.clear_faults()
            line["seconds"] = round(time.monotonic() - began, 2)
            print(json.dumps(line), flush=True)


def took_too_long(*_) -> None:
    raise TimeoutError(f"not done after {CASE_SECONDS} s")


def site_from_environment() -> Site:
    return Site(json.loads(os.environ["FIRECREST_SITE"]))


def new_loop():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def mode_of(path: Path) -> str:
    return oct(path.stat().st_mode & 0o7777)


def status_of_link(url: str) -> int:
    """Of a staged object: 206 while it can be read."""
    request = urllib.request.Request(url, headers={"Range": "bytes=0-0"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def equal(actual, expected) -> None:
    assert actual == expected, f"{actual!r} is not {expected!r}"


def contains(text, part) -> None:
    assert part in text, f"{part!r} is not in {text!r}"


def refused(error_type, action, *words: str) -> BaseException:
    """Does what must be refused, with all of these words in the answer."""
    try:
        action()
    except error_type as error:
        text = str(error) + "".join(response.text for response in getattr(error, "responses", []))
        for word in words:
            contains(text, word)
        return error
    raise AssertionError(f"nothing was refused, expected {error_type.__name__}")


def eventually(look, what: str, seconds: float = 30):
    """The first result of `look` that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"gave up waiting for {what}")


class CommandLine:
    """The program `firecrest` beside this Python, as a person runs it."""

    def __init__(self, site: Site, url: str, api_version: str):
        self._program = str(Path(sys.executable).parent / "firecrest")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(site.desk),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "400",
            "TERM": "dumb",
            "FIRECREST_URL": url,
            "FIRECREST_CLIENT_ID": site.client_id,
            "FIRECREST_CLIENT_SECRET": site.client_secret,
            "AUTH_TOKEN_URL": site.token_url,
            "FIRECREST_SYSTEM": MACHINE,
            "FIRECREST_API_VERSION": api_version,
        }
        self._cwd = site.desk
        self.used: set = set()

    def __call__(self, *words, fails: bool = False) -> str:
        """What it prints. `fails`: it must end with 1, and what it says about that is returned."""
        self.used |= {str(words[0]), " ".join(map(str, words[:2]))}
        command = [self._program, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment, cwd=self._cwd, timeout=120)
        assert done.returncode == (1 if fails else 0), f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *words):
        return json.loads(self(*words))
