"""`haddock serve` by https: its options, and what `haddock check` says of its certificates."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli_site import HADDOCK, Running, clean_environment, free_port, run, until

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def certificate(folder: Path, name: str, days: int) -> tuple[str, str]:
    """A certificate for a name, and its key."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", *EC, "-nodes", "-keyout", key, "-out", chain, "-days", str(days),
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return str(chain), str(key)


class Tls:
    """A gateway by https, with two certificates."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.port, self.plain, self.admin = free_port(), free_port(), free_port()
        self.shop, self.wiki = certificate(folder, "shop.example", 90), certificate(folder, "wiki.example", 5)
        options = [
            "--tls-cert", self.shop[0], "--tls-key", self.shop[1], "--tls-cert", self.wiki[0], "--tls-key", self.wiki[1],
            "--http-redirect", f"127.0.0.1:{self.plain}", "--hsts", "365d",
            "--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin}", "--state", str(folder / "state"),
        ]  # fmt: skip
        self.process = Running([str(HADDOCK), *words, *options], folder, clean_environment(HADDOCK_RUNTIME="process"))

    def get(self, name: str, trusted: str) -> http.client.HTTPResponse:
        """Asks by https for this host."""
        context = ssl.create_default_context(cafile=trusted)
        with closing(http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)) as connection:
            # The name is asked for, and the address connected to.
            connection.sock = context.wrap_socket(
                http.client.socket.create_connection(("127.0.0.1", self.port), 20), server_hostname=name  # type: ignore[attr-defined]
            )
            connection.request("GET", "/", headers={"Host": name})
            answer = connection.getresponse()
            answer.read()
            return answer


@pytest.fixture(params=[("serve", "gateway"), ("serve",)], ids=["alone", "with its controller"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tls]:
    tls = Tls(tmp_path, *request.param)
    try:
        tls.process.says("gateway: clients at")
        yield tls
    finally:
        tls.process.close()


def test_clients_come_by_https_and_learn_to(tls: Tls) -> None:
    for name, (chain, _) in (("shop.example", tls.shop), ("wiki.example", tls.wiki)):
        answer = tls.get(name, chain)
        assert answer.status == 503, "there is no service yet, and the gateway says so by https"
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    with pytest.raises(ssl.SSLCertVerificationError):
        tls.get("shop.example", tls.wiki[0])
    with closing(http.client.HTTPConnection("127.0.0.1", tls.plain, timeout=20)) as connection:
        connection.request("GET", "/cart?item=7", headers={"Host": "shop.example"})
        answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"https://shop.example:{tls.port}/cart?item=7")


def test_a_renewed_certificate_is_used_without_a_restart(tls: Tls) -> None:
    newer = tls.folder / "newer"
    newer.mkdir()
    chain, key = certificate(newer, "shop.example", 80)
    Path(key).rename(tls.shop[1])
    Path(chain).rename(tls.shop[0])

    def renewed() -> bool:
        try:
            return tls.get("shop.example", tls.shop[0]).status == 503
        except ssl.SSLCertVerificationError:
            return False

    until("the newer certificate is used", renewed, 20)


def test_check_says_when_certificates_end(tls: Tls) -> None:
    checked = run("check", "--json", "--gateway", f"http://127.0.0.1:{tls.admin}", "--state", str(tls.folder / "state"), cwd=tls.folder)
    of = {finding["says"]: finding["state"] for finding in json.loads(checked.stdout)["findings"] if "certificate" in finding["says"]}
    assert len(of) == 2, checked.stdout
    assert [state for says, state in of.items() if "`shop.example` ends on" in says] == ["ok"]
    assert [state for says, state in of.items() if "`wiki.example` ends on" in says and "in 5 days" in says] == ["warning"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tls-cert", "shop.example.pem"], "--tls-cert is given 1 times and --tls-key 0 times"),
        (["--tls-key", "shop.example.key"], "--tls-cert is given 0 times and --tls-key 1 times"),
        (["--http-redirect", "127.0.0.1:80"], "--http-redirect needs https"),
        (["--hsts", "1d"], "--hsts needs https"),
        (["--tls-cert", "shop.example.pem", "--tls-key", "missing.key"], "missing.key"),
        (["--tls-cert", "shop.example.pem", "--tls-key", "shop.example.pem"], "has no private key"),
        (["--tls-cert", "shop.example.pem", "--tls-key", "shop.example.key", "--http-redirect", "80"], "HOST:PORT"),
    ],
)
def test_wrong_options_are_refused_before_anything_listens(tmp_path: Path, words: list[str], says: str) -> None:
    certificate(tmp_path, "shop.example", 90)
    address = f"127.0.0.1:{free_port()}"
    ended = run("serve", "gateway", "--listen", address, "--admin", f"127.0.0.1:{free_port()}", "--state", "state", *words, cwd=tmp_path)
    assert ended.returncode != 0 and says in ended.stderr, ended.stderr
    assert "PRIVATE" not in ended.stderr and "Traceback" not in ended.stderr
