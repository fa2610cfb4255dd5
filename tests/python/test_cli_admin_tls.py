"""The admin API by https: its callers know the gateway by its certificate, and show one of their own if it wants that."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli_docker
import haddock
from cli_site import HADDOCK, Running, clean_environment, free_port, run
from test_cli_serve import COMPOSE

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str) -> None:
    """`NAME.pem` and `NAME.key` of an authority."""
    openssl(folder, "req", "-x509", *EC, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}")


def signed(folder: Path, name: str, by: str, purpose: str) -> None:
    """`NAME.pem` and `NAME.key` for 127.0.0.1, by that authority."""
    openssl(folder, "req", *EC, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (folder / "extensions").write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={purpose}\n")
    openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial",
        "-days", "2", "-extfile", "extensions", "-out", f"{name}.pem",
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority(folder, "ours")
    authority(folder, "theirs")
    signed(folder, "server", "ours", "serverAuth")
    signed(folder, "client", "ours", "clientAuth")
    signed(folder, "stranger", "theirs", "clientAuth")
    return folder


def by_https(files: Path, client_ca: bool) -> list[str]:
    words = ["--admin-tls-cert", str(files / "server.pem"), "--admin-tls-key", str(files / "server.key")]
    return words + ["--admin-client-ca", str(files / "ours.pem")] * client_ca


def known(files: Path, ca: str = "ours", own: str | None = "client") -> list[str]:
    """The options of a caller."""
    words = ["--gateway-ca", str(files / f"{ca}.pem")]
    return words if own is None else [*words, "--gateway-cert", str(files / f"{own}.pem"), "--gateway-key", str(files / f"{own}.key")]


class Admin:
    """A gateway whose admin API speaks https."""

    def __init__(self, words: list[str], folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        admin = free_port()
        self.folder, self.url = folder, f"https://127.0.0.1:{admin}"
        options = ["--listen", f"127.0.0.1:{free_port()}", "--admin", f"127.0.0.1:{admin}", "--state", str(folder / "state")]
        self.process = Running([str(HADDOCK), *words, *options], folder, clean_environment(HADDOCK_RUNTIME="process"))

    def checked(self, *words: str, url: str | None = None) -> dict[str, Any]:
        """What `haddock check` finds of the gateway."""
        state = str(self.folder / "elsewhere")
        found = run("check", "--json", "--gateway", url or self.url, "--state", state, *words, cwd=self.folder)
        (finding,) = [each for each in json.loads(found.stdout)["findings"] if each["name"] == "gateway"]
        return dict(finding)


@pytest.fixture(params=[False, True], ids=["anybody", "with certificates"])
def admin(request: pytest.FixtureRequest, files: Path, tmp_path: Path) -> Iterator[Admin]:
    admin = Admin(["serve", "gateway", *by_https(files, request.param)], tmp_path)
    admin.process.says("gateway: clients at")
    yield admin
    admin.process.close()


def test_a_caller_that_knows_the_gateway_and_is_known_is_served(admin: Admin, files: Path) -> None:
    assert admin.checked(*known(files))["state"] == "ok"


def test_nobody_is_served_who_does_not_know_it(admin: Admin, files: Path) -> None:
    unknown = admin.checked(*known(files, ca="theirs"))
    assert (unknown["state"], "certificate" in unknown["says"].lower()) == ("problem", True), unknown
    assert "`--gateway-ca`" in unknown["fix"]
    without = admin.checked()
    assert "cannot be known by its certificate" in without["says"] and "`--gateway-ca`" in without["says"], without
    assert admin.checked(url=admin.url.replace("https", "http"))["state"] == "problem"


def test_a_gateway_that_wants_certificates_serves_those_of_its_authority_alone(files: Path, tmp_path: Path) -> None:
    admin = Admin(["serve", "gateway", *by_https(files, True)], tmp_path)
    try:
        admin.process.says("gateway: clients at")
        for own in (None, "stranger", "server"):
            refused = admin.checked(*known(files, own=own))
            assert refused["state"] == "problem", (own, refused)
            assert "`--gateway-cert`" in refused["fix"], (own, refused)
        ca, cert, key = (files / name for name in ("ours.pem", "client.pem", "client.key"))
        controller = haddock.connect(
            state=tmp_path / "python", runtime="process", gateway=admin.url, gateway_ca=ca, gateway_cert=cert, gateway_key=key
        )
        assert controller.services() == []
        assert "haddock.RemoteGateway at https://" in repr(haddock.RemoteGateway(admin.url, ca=ca, cert=cert, key=key))
    finally:
        admin.process.close()


@pytest.mark.docker
def test_a_release_by_https(files: Path, tmp_path: Path) -> None:
    with cli_docker.place(tmp_path, COMPOSE) as site:
        site.env.update(
            HADDOCK_GATEWAY=f"https://127.0.0.1:{site.admin}", HADDOCK_GATEWAY_CA=str(files / "ours.pem"),
            HADDOCK_GATEWAY_CERT=str(files / "client.pem"), HADDOCK_GATEWAY_KEY=str(files / "client.key"),
        )  # fmt: skip
        site.start("serve", *by_https(files, True)).says("controller: ")
        site.ok("release", "--tag", "c1")
        del site.env["HADDOCK_GATEWAY_CERT"], site.env["HADDOCK_GATEWAY_KEY"]
        refused = site.run("release", "--tag", "c2")
        assert refused.returncode == 4 and "certificate" in refused.stderr.lower(), refused


def test_the_controller_of_serve_takes_the_certificate_itself_for_the_authority(files: Path, tmp_path: Path) -> None:
    admin = Admin(["serve", *by_https(files, False)], tmp_path)
    try:
        admin.process.says("controller: acts for")
        assert admin.checked("--gateway-ca", str(files / "server.pem"))["state"] == "ok"
    finally:
        admin.process.close()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--admin-tls-cert", "server.pem"], "--admin-tls-cert is given and --admin-tls-key is not"),
        (["--admin-tls-key", "server.key"], "--admin-tls-key is given and --admin-tls-cert is not"),
        (["--admin-client-ca", "ours.pem"], "--admin-client-ca needs https"),
        (["--admin-tls-cert", "server.pem", "--admin-tls-key", "server.pem"], "has no private key"),
        (
            ["--admin-tls-cert", "server.pem", "--admin-tls-key", "server.key", "--admin-client-ca", "ours.pem"],
            "give --gateway-cert and --gateway-key",
        ),
        (["--gateway-cert", "client.pem"], "`gateway_cert` is given and `gateway_key` is not"),
        (["--gateway", "https://127.0.0.1:1"], "`--gateway-ca`"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(files: Path, tmp_path: Path, words: list[str], says: str) -> None:
    place = ["--listen", f"127.0.0.1:{free_port()}", "--admin", f"127.0.0.1:{free_port()}", "--state", str(tmp_path)]
    command = ["serve", "controller"] if words[0].startswith("--gateway") else ["serve"]
    given = words + (place[4:] if command[-1] == "controller" else place)
    refused = run(*command, *given, cwd=files, env=clean_environment(HADDOCK_RUNTIME="process"))
    assert refused.returncode != 0
    assert says in refused.stderr, refused
