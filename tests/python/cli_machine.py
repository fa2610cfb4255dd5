"""A registry with accounts and a certificate of its own, and another machine that shares nothing with this one but that."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli_docker
from cli_site import HADDOCK, clean_environment, free_port, until

ACCOUNTS = "tester:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
"""`tester` with the password `secret`, in bcrypt, as `htpasswd -B` writes it."""
LOGIN = "dGVzdGVyOnNlY3JldA=="
"""The same, as `docker login` stores it."""
CERTIFICATES = Path("/etc/docker/certs.d")


class Machine:
    """An engine with images of its own, in a network of its own that has a cable to this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/engine.sock"
        script = f"mount -t tmpfs tmpfs /run && exec dockerd --data-root {folder}/data --exec-root /run/docker-test \
            --pidfile /run/docker-test.pid --host {self.host}"
        self.log = (folder / "log").open("w")
        # When the first process ends, the kernel ends all others, and takes mounts and cable away.
        self.process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
             "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        )  # fmt: skip
        self.pid = 0
        self.here = ""

    def connect(self) -> None:
        """Lays the cable, and waits for the engine."""
        self.pid = int(until("the other machine runs", self._first_process))
        end = f"haddock-{secrets.token_hex(3)}"
        # A network for tests of networks (RFC 2544), so that nothing is hidden by it.
        network = f"198.{18 + secrets.randbelow(2)}.{secrets.randbelow(256)}"
        self.here = f"{network}.1"
        here, there = ("ip",), (*self.within, "ip")
        for words in (
            (*here, "link", "add", end, "type", "veth", "peer", "name", "cable", "netns", str(self.pid)),
            (*here, "address", "add", f"{self.here}/30", "dev", end),
            (*here, "link", "set", end, "up"),
            (*there, "address", "add", f"{network}.2/30", "dev", "cable"),
            (*there, "link", "set", "cable", "up"),
            (*there, "link", "set", "lo", "up"),
        ):
            subprocess.run(words, check=True, capture_output=True)
        until("the other engine answers", self._answers)

    def _first_process(self) -> str:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return subprocess.run(["docker", "--host", self.host, "version"], capture_output=True, check=False).returncode == 0

    @property
    def within(self) -> tuple[str, ...]:
        """What runs a command in the machine's network."""
        return ("nsenter", "--target", str(self.pid), "--net")

    def docker(self, *words: str) -> str:
        """What `docker` says there."""
        return subprocess.run(
            ["docker", "--host", self.host, *words], capture_output=True, text=True, check=True
        ).stdout  # fmt: skip

    def haddock(self, *words: str, cwd: Path, configuration: Path) -> str:
        """What `haddock` says there: it is to succeed."""
        environment = clean_environment(
            DOCKER_HOST=self.host, DOCKER_CONFIG=str(configuration), HADDOCK_STATE=str(self.folder / "state")
        )
        done = subprocess.run(
            [*self.within, str(HADDOCK), *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"haddock {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def fetch(self, address: str) -> str:
        """What a server there answers."""
        done = subprocess.run(
            [*self.within, "curl", "--fail", "--silent", f"http://{address}/"], capture_output=True, text=True, check=True
        )
        return done.stdout

    def close(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()
        self.log.close()


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """Another machine, of which nothing is left at the end."""
    _required()
    # Short: the path of a socket has 108 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="machine.", dir="/tmp"))
    there = Machine(folder)
    try:
        there.connect()
        yield there
    finally:
        there.close()
        shutil.rmtree(folder, ignore_errors=True)


def _required() -> None:
    cli_docker.required()
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    programs = ("docker-registry", "openssl", "dockerd", "iptables", "ip", "nsenter", "unshare", "curl")
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if os.geteuid() != 0 or os.environ.get("DOCKER_HOST"):
        missing.append("root, and an engine on this machine")
    if not missing:
        return
    what = f"another machine needs {', '.join(missing)}"
    if os.environ.get("HADDOCK_TEST_REQUIRE"):
        pytest.fail(f"{what}, and HADDOCK_TEST_REQUIRE is set")
    warnings.warn(f"SKIPPED: {what}", stacklevel=2)
    pytest.skip(what)


@contextlib.contextmanager
def registry(folder: Path, host: str) -> Iterator[str]:
    """A registry at this address that takes only those with an account, and whose authority the engines trust.

    `config.json` in the folder is that of somebody who has logged in.
    """
    folder.mkdir()
    address = f"{host}:{free_port()}"
    certificate(folder, host)
    (folder / "accounts").write_text(ACCOUNTS)
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": LOGIN}}}))
    configuration = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address, "tls": {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}},
        "auth": {"htpasswd": {"realm": "tests", "path": str(folder / "accounts")}},
    }
    (folder / "registry.json").write_text(json.dumps(configuration))
    trust = CERTIFICATES / address
    trust.mkdir(parents=True)
    shutil.copy(folder / "ca.pem", trust / "ca.crt")
    process = subprocess.Popen(
        ["docker-registry", "serve", str(folder / "registry.json")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until("the registry answers", lambda: _asks_for_an_account(address, folder / "ca.pem"))
        yield address
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(trust)
        # Only an empty one goes: that of somebody else's registries stays.
        with contextlib.suppress(OSError):
            CERTIFICATES.rmdir()


def _asks_for_an_account(address: str, authority: Path) -> bool:
    done = subprocess.run(
        ["curl", "--silent", "--cacert", str(authority), "--write-out", "%{http_code}", "--output", "/dev/null",
         f"https://{address}/v2/"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout == "401"


def certificate(folder: Path, host: str) -> None:
    """`ca.pem` of a new authority, and `cert.pem` and `key.pem` by it for a server at this address."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tests")
    openssl("req", *new_key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=registry")
    (folder / "names").write_text(f"subjectAltName=IP:{host}\n")
    openssl(
        "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
        "-extfile", "names", "-out", "cert.pem",
    )  # fmt: skip
