"""`haddock check --url`: what a real proxy before the gateway does to requests, with settings that break something."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import haddock
from cli_site import free_port
from haddock._caller import Caller
from haddock._cli import _intermediary
from haddock._cli._intermediary import Found
from proxies import program
from test_cli_tls import certificate

# An intermediary as it should be.
GOOD = ("option forwardfor", "http-request set-header X-Forwarded-Proto https")


@contextmanager
def haproxy(folder: Path, gateway: str, lines: tuple[str, ...]) -> Iterator[int]:
    """HAProxy before that gateway, with these lines in its frontend."""
    port, config = free_port(), folder / f"haproxy-{time.monotonic_ns()}.cfg"
    config.write_text(
        "global\n maxconn 100\ndefaults\n mode http\n timeout connect 2s\n timeout client 10s\n timeout server 10s\n"
        f"frontend in\n bind 127.0.0.1:{port}\n" + "".join(f" {line}\n" for line in lines)
        + f" default_backend shop\nbackend shop\n server gateway {gateway}\n"
    )  # fmt: skip
    process = subprocess.Popen([program("haproxy"), "-db", "-q", "-f", str(config)])
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None, "HAProxy does not listen"
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: str, trusted: bool = True, scheme: str = "https") -> list[Found]:
    """What is found of HAProxy with these lines. Its TLS is left out: what it says of it is what counts."""
    monkeypatch.setattr(http.client, "HTTPSConnection", http.client.HTTPConnection)
    with haddock.Gateway(
        state=tmp_path / "state", listen="127.0.0.1:0", services={"shop": "127.0.0.1"}, trust_proxy="127.0.0.0/8" if trusted else ()
    ) as gateway, haproxy(tmp_path, gateway.listen_address, lines) as port:  # fmt: skip
        return list(_intermediary.look(f"{scheme}://127.0.0.1:{port}/app", f"http://{gateway.admin_address}", Caller()))


def test_one_that_is_as_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [only] = found(tmp_path, monkeypatch, *GOOD)
    assert only.state == "ok" and "arrive unchanged" in only.says


@pytest.mark.parametrize(
    ("lines", "says", "fix"),
    [
        (("http-request del-header Cookie",), "cookies of clients do not arrive", "`Cookie`"),
        (("http-request set-header Cookie lb=1",), "cookies of clients do not arrive", "`Cookie`"),
        (("http-response del-header Set-Cookie",), "does not come back", "`Set-Cookie`"),
        (("http-response set-header Set-Cookie lb=1",), "does not come back", "`Set-Cookie`"),
        (
            ("http-response replace-header Set-Cookie (.*)SameSite=None(.*) \\1SameSite=Strict\\2",),
            "adds `samesite=strict` and takes away `samesite=none`", "x-haddock.session",
        ),
        (("http-request del-header Upgrade",), "`Upgrade` does not arrive", "proxy_set_header Upgrade"),
        (("http-request del-header X-Forwarded-Proto",), "says nothing of clients that come by https", "X-Forwarded-Proto: https"),
        (("http-request set-header X-Forwarded-Proto http",), "says `http` of clients", "X-Forwarded-Proto: https"),
        (("http-request set-header Host 127.0.0.1:1",), "asks the gateway for `127.0.0.1:1`", "proxy_set_header Host"),
        (("http-request set-header Host inner",), "no service under `inner`", "--service NAME=inner"),
    ],
)  # fmt: skip
def test_settings_that_break_something_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], says: str, fix: str
) -> None:
    there = found(tmp_path, monkeypatch, *GOOD, *lines)
    about = [each for each in there if says in each.says]
    assert about and all(each.state != "ok" and fix in str(each.fix) for each in about), there
    assert len(there) == 1 or "inner" in says, "and nothing else"


def test_one_that_is_not_trusted_and_one_that_says_nothing_of_its_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme, believed in (("https", "come by https"), ("http", "who its clients are")):
        [only] = [each for each in found(tmp_path, monkeypatch, *GOOD, trusted=False, scheme=scheme)]
        assert "`127.0.0.1`, which is not trusted" in only.says and believed in only.says
        assert only.fix == "say that it is a proxy of yours: `haddock serve --trust-proxy 127.0.0.1/32`"
    [only] = found(tmp_path, monkeypatch, GOOD[1])
    assert only.state == "warning" and "who its clients are" in only.says


def test_an_address_that_leads_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line, says in (
        ("http-request redirect location https://127.0.0.1/login", "it answers 302 and leads to `https://127.0.0.1/login`"),
        ("http-request return status 200 content-type text/html string welcome", "something else answers"),
        ("http-request deny", "it answers 403"),
    ):
        [only] = found(tmp_path, monkeypatch, *GOOD, line)
        assert only.state == "problem" and "does not lead to this gateway" in only.says and says in only.says
    # An answer that is kept is found by its number.
    with haddock.Gateway(state=tmp_path / "state", listen="127.0.0.1:0") as gateway:
        url, admin = f"http://{gateway.listen_address}/", f"http://{gateway.admin_address}"
        kept: list[_intermediary.Answer] = []
        ask = _intermediary._ask
        monkeypatch.setattr(_intermediary, "_ask", lambda *given: kept[0] if kept else kept.append(ask(*given)) or kept[0])
        assert any("out of a cache" in each.says for each in _intermediary.look(url, admin, Caller()))
    [only] = list(_intermediary.look("shop.example", admin, Caller()))
    assert only.state == "problem" and "not an address" in only.says


def test_what_is_as_good_as_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for lines, trusted, scheme in (
        (("http-request set-header Forwarded for=192.0.2.1;proto=https",), True, "https"),
        ((*GOOD, "http-request set-header X-Forwarded-Host %[req.hdr(host)]", "http-request set-header Host 127.0.0.1:1"), True, "https"),
        (("option forwardfor",), True, "http"),
        ((), False, "http"),
    ):  # fmt: skip
        [only] = found(tmp_path, monkeypatch, *lines, trusted=trusted, scheme=scheme)
        assert only.state == "ok", (lines, only)
    assert _intermediary._plain("Shop:443", "https") == _intermediary._plain("shop:80", "http") == "shop"


def test_one_that_is_not_trusted_and_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [only] = found(tmp_path, monkeypatch, trusted=False)
    assert only.state == "problem" and "come by https" in only.says


def test_where_the_gateway_has_the_certificates_nobody_has_to_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, key = certificate(tmp_path, "localhost", 9)
    monkeypatch.setenv("SSL_CERT_FILE", chain)
    with haddock.Gateway(
        state=tmp_path / "state", listen="127.0.0.1:0", services={"shop": "localhost"}, tls=[(chain, key)]
    ) as gateway:  # fmt: skip
        port = gateway.listen_address.rpartition(":")[2]
        [only] = _intermediary.look(f"https://localhost:{port}/", f"http://{gateway.admin_address}", Caller())
    assert only.state == "ok", only


def test_http_1_0_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with haddock.Gateway(state=tmp_path / "state", listen="127.0.0.1:0", services={"shop": "127.0.0.1"}) as gateway:
        monkeypatch.setattr(http.client.HTTPConnection, "_http_vsn_str", "HTTP/1.0")
        there = list(_intermediary.look(f"http://{gateway.listen_address}/", f"http://{gateway.admin_address}", Caller()))
    assert [each.state for each in there if "HTTP/1.0" in each.says] == ["warning"], there


def test_nobody_answers(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    [only] = _intermediary.look(nobody, nobody, Caller())
    assert only.state == "problem" and "cannot be asked" in only.says
    with haddock.Gateway(state=tmp_path / "state", listen="127.0.0.1:0") as gateway:
        [only] = _intermediary.look(nobody, f"http://{gateway.admin_address}", Caller())
    assert only.state == "problem" and "does not lead to this gateway" in only.says
    for url in ("ftp://shop.example", "https:///"):
        [only] = _intermediary.look(url, nobody, Caller())
        assert "not an address" in only.says


def test_another_that_answers_in_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [only] = found(tmp_path, monkeypatch, *GOOD, "http-request return status 200 content-type application/json string {}")
    assert only.state == "problem" and "something else answers" in only.says
