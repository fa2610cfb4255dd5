"""`haddock check`: what is wrong, and the fix."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from haddock._cli import _common, _engine, _intermediary, _output, _settings, _words
from haddock._cli._common import Settings, settings_of
from haddock._cli._errors import DONE, FAILED
from haddock._group import DEFAULT_GATEWAY

if TYPE_CHECKING:
    from haddock import Haproxy, ResolvedFile
    from haddock._group import Member

LOW_DISK, NO_DISK = 1 << 30, 100 << 20
"""In bytes. After years, a journal has about 10 MB. Images take far more, but belong to the engine."""
RENEW_DAYS = 14
"""Who renews certificates by a program does so a month before they end, so a fortnight before, it has failed for long."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    state: str
    """`ok`, `warning` or `problem`."""
    says: str
    fix: str | None = None


@click.command(cls=_common.Command)
@click.option("--listen", metavar="HOST:PORT", envvar="HADDOCK_LISTEN", default="127.0.0.1:8080", show_default=True,
              help="The address for clients, if no gateway runs yet.")  # fmt: skip
@click.option("--url", metavar="URL",
              help="The address that clients use. Then a proxy between it and the gateway is checked, too, for instance one for TLS.")
@_common.options
@settings_of
def check(settings: Settings, listen: str, url: str | None) -> int:
    """Check engine, gateway, ports, file, session settings, state directory and disk.

    With `--url`, it also checks what a proxy before the gateway does to requests: cookies, WebSockets, hosts, and
    headers about clients. For each problem it says the fix. The exit code is 1 if there is a problem; warnings do not
    count.
    """
    findings: list[Finding] = []
    for finding in look(settings, listen, url):
        findings.append(finding)
        if not settings.json:
            _show(finding)
    problems = sum(finding.state == "problem" for finding in findings)
    if settings.json:
        _output.json_line({"ok": not problems, "findings": [vars(finding) for finding in findings]})
    elif problems:
        _output.line(f"\n{_words.many(problems, 'problem')}")
    return FAILED if problems else DONE


def _show(finding: Finding) -> None:
    mark = finding.state
    if _output.terminal() and not os.environ.get("NO_COLOR"):
        colour = {"ok": "green", "warning": "yellow", "problem": "red"}[finding.state]
        mark = click.style(f"{finding.state:<7}", fg=colour)
    click.echo(f"{mark:<7}  {finding.name:<8}  {finding.says}")
    if finding.fix:
        click.echo(f"{'':<7}  {'':<8}  fix: {finding.fix}")


def look(settings: Settings, listen: str, url: str | None) -> Iterator[Finding]:
    """Makes one check after the other."""
    yield from _engine_found(settings)
    gateways = settings.gateways()
    for member in gateways:
        yield from _named(member, _gateway_found(settings, member.place, listen))
    if url is not None:
        # Behind an HAProxy alone there is no gateway to ask.
        place = next((member.place for member in gateways), DEFAULT_GATEWAY)
        for found in _intermediary.look(url, place, settings.caller()):
            yield Finding("proxy", found.state, found.says, found.fix)
    yield from _state_found(settings)
    environment, finding = _file_found(settings)
    yield finding
    yield from _haproxys_found(settings, environment)
    if environment is not None:
        yield from _settings_found(environment.settings)


def _named(member: Member, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings about one of several, under its name."""
    for finding in findings:
        yield finding if finding.name == "ports" else replace(finding, name=member.name)


def _engine_found(settings: Settings) -> Iterator[Finding]:
    runtime = os.environ.get("HADDOCK_RUNTIME", "docker")
    if runtime != "docker":
        yield Finding("engine", "ok", f"none is needed: the runtime is `{runtime}`")
        return
    import haddock

    try:
        report = _engine.engine_report(settings)
    except haddock.HaddockError as error:
        fix = error.hint
        if "ermission" in error.message:
            fix = "add yourself to the group of its socket, such as `docker`, and log in again"
        yield Finding("engine", "problem", error.message, fix)
        return
    yield Finding("engine", "ok", f"version {report['version']}, API {report['api']}, at `{report['address']}`, {report['source']}")
    yield Finding("reach", "ok", f"ports of containers are reached {report['reach']}: {report['why']}")
    yield _pool_found(report)


def _pool_found(report: dict[str, Any]) -> Finding:
    """Checks how many subnets are left."""
    text = f"{report['free']} of {_words.many(report['subnets'], 'subnet')} of `{report['pool']}` are free"
    if report["in_the_way"]:
        text += f"; in the way: {', '.join(report['in_the_way'])}"
    if report["free"] * 10 > report["subnets"]:
        return Finding("pool", "ok", text)
    fix = "choose addresses that nothing else uses, such as `--address-pool 172.28.0.0/14`, or remove environments"
    return Finding("pool", "warning" if report["free"] else "problem", text, fix)


def _haproxys_found(settings: Settings, environment: ResolvedFile | None) -> Iterator[Finding]:
    """Checks whether each HAProxy answers, and what its file lacks for the service of the compose file."""
    import haddock

    try:
        proxys = settings.haproxys()
    except haddock.HaddockError as error:
        yield Finding("haproxy", "problem", error.message, error.hint)
        return
    for member, proxy in proxys:
        yield from _named(member, _haproxy_found(proxy, environment))


def _haproxy_found(proxy: Haproxy, environment: ResolvedFile | None) -> Iterator[Finding]:
    import haddock

    if environment is None:
        yield Finding("haproxy", "warning", "without a compose file it is not known which backend to look at", "name the file with `-f`")
        return
    session = environment.settings["session"]
    cookie = (session.get("application") or {}).get("name")
    try:
        found = proxy.check(environment.service, idle=_settings.seconds(session["idle"]) or 0, cookie=cookie)
    except haddock.HaddockError as error:
        fix = error.hint or "start it, and write `stats socket PATH level admin` under `global` in `haproxy.cfg`"
        yield Finding("haproxy", "problem", error.message, fix)
        return
    for each in found:
        yield Finding("haproxy", each.state, each.says, each.fix)
    if not found:
        yield Finding("haproxy", "ok", f"at `{proxy.socket}`, with all that `{environment.service}` needs, as far as HAProxy tells")


def _gateway_found(settings: Settings, url: str, listen: str) -> Iterator[Finding]:
    """Checks whether a gateway answers, and what it says of its services and certificates."""
    try:
        services = _engine.gateway_services(url, settings.caller())
    except _engine.Unreachable as error:
        parts = urlsplit(url)
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        if "answers 401" in str(error) or "answers 403" in str(error):
            fix = "name the file with its token with `--gateway-token-file`"
        elif isinstance(error, _engine.Distrusted):
            fix = "name the authority of its certificate with `--gateway-ca`, and yours with `--gateway-cert` and `--gateway-key` if it wants one"
        elif settings.has_others():
            fix = "start it there: `haddock serve gateway`; or leave it out of `--locator`"
        elif local and parts.port and not _engine.is_free(parts.hostname or "", parts.port):
            fix = f"another program has port {parts.port}: stop it, or give the gateway another port with `--admin` and `--gateway`"
        else:
            fix = f"start one: {settings.again('serve')}" if local else "start one there, or name another with `--gateway`"
        yield Finding("gateway", "problem", f"none answers at `{url}`: {error}", fix)
        if local and not settings.has_others():
            yield _port_found(listen)
        return
    yield Finding("gateway", "ok", f"at `{url}`, with {_words.many(len(services), 'service')}")
    for name, report in sorted(services.items()):
        yield _table_found(name, report)
    yield from _certificates_found(settings, url)


def _certificates_found(settings: Settings, url: str) -> Iterator[Finding]:
    """When certificates end."""
    try:
        certificates = _engine.gateway_certificates(url, settings.caller())
    except _engine.Unreachable:
        # An older gateway, which has none.
        return
    for certificate in certificates:
        ends = datetime.fromtimestamp(certificate["ends"] / 1000, tz=timezone.utc)
        days = (ends - datetime.now(timezone.utc)) / timedelta(days=1)
        name = ", ".join(certificate["names"]) or certificate["file"]
        fix = f"replace `{certificate['file']}` and its key: the gateway uses changed files within some seconds"
        if days < 0:
            yield Finding("gateway", "problem", f"the certificate of `{name}` ended on {ends:%Y-%m-%d}", fix)
        elif days < RENEW_DAYS:
            yield Finding("gateway", "warning", f"the certificate of `{name}` ends on {ends:%Y-%m-%d}, in {days:.0f} days", fix)
        else:
            yield Finding("gateway", "ok", f"the certificate of `{name}` ends on {ends:%Y-%m-%d}")


def _port_found(listen: str) -> Finding:
    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        return Finding("ports", "problem", f"`{listen}` is not of the form HOST:PORT", "such as `0.0.0.0:80`")
    if _engine.is_free(host.strip("[]"), int(port)):
        return Finding("ports", "ok", f"`{listen}` is free for clients")
    fix = "stop the program that has it, or choose another address with `--listen`"
    return Finding("ports", "problem", f"`{listen}` is taken, or not of this machine", fix)


def _table_found(name: str, report: dict[str, Any]) -> Finding:
    instances = {key: each for key, each in report.get("instances", {}).items() if not each.get("closed")}
    serving = sum(bool(each.get("share")) for each in instances.values())
    if report.get("unsaved") is not None:
        fix = "make room on the gateway's disk; until then it takes no new table and closes no instance"
        return Finding("gateway", "problem", f"the state of `{name}` cannot be kept: {report['unsaved']}", fix)
    if report.get("table") is None:
        return Finding("gateway", "warning", f"`{name}` has no table: its clients get 503", f"release it, or adopt a server: `haddock adopt {name}`")
    if not serving:
        return Finding("gateway", "problem", f"`{name}` has no instance that gets new sessions", f"see `haddock status {name}`")
    return Finding("gateway", "ok", f"`{name}`: {_words.many(len(instances), 'instance')}, {serving} with new sessions")


def _state_found(settings: Settings) -> Iterator[Finding]:
    import haddock

    directory = settings.state_directory()
    nearest = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    fix = "name another with `--state` or HADDOCK_STATE, or change its owner"
    if not nearest.is_dir():
        yield Finding("state", "problem", f"`{nearest}` is not a directory", fix)
        return
    if not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding("state", "problem", f"`{nearest}` cannot be written to", fix)
        return
    if directory.is_dir() and directory.stat().st_mode & 0o077:
        text = f"others on this machine can look into `{directory}`, and lock what is in it"
        yield Finding("state", "warning", text, f"chmod 700 {directory}")
    if (directory / "journal.db").exists():
        try:
            with settings.look() as controller:
                services = controller.services()
                yield Finding("state", "ok", f"`{directory}`, with {_words.many(len(services), 'service')}")
                for name in services:
                    yield _acting_found(name, controller.status(name))
        except haddock.HaddockError as error:
            yield Finding("state", "problem", f"the journal in `{directory}` cannot be read: {error.message}", error.hint)
    else:
        yield Finding("state", "ok", f"`{directory}` can be written to; there is no journal yet")
    yield _disk_found(nearest)


def _acting_found(name: str, status: Any) -> Finding:
    if status is None or status.acting:
        return Finding("acting", "ok", f"`{status.acting}` acts for `{name}`" if status else f"`{name}` was never released")
    busy = status.release is not None or any(each.phase == "draining" for each in status.instances)
    if busy:
        return Finding("acting", "warning", f"nobody acts for `{name}`, and it is not done", "run `haddock serve`")
    return Finding("acting", "ok", f"nobody acts for `{name}`, and nothing is in progress")


def _disk_found(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    text = f"{free / (1 << 30):.1f} GiB are free where the journal is"
    if free < NO_DISK:
        return Finding("disk", "problem", text, "make room: releases and drains stop when the journal cannot be written to")
    if free < LOW_DISK:
        return Finding("disk", "warning", text, "make room")
    return Finding("disk", "ok", text)


def _file_found(settings: Settings) -> tuple[ResolvedFile | None, Finding]:
    import haddock

    try:
        environment = settings.resolve(tag="unnamed")
    except haddock.HaddockError as error:
        place = "" if error.place is None else f"{error.place}: "
        missing = settings.file is None and error.kind in ("not_found", "io")
        state = "warning" if missing else "problem"
        return None, Finding("file", state, f"{place}{error.message}", error.hint)
    versioned = [each.name for each in environment.components if each.versioned]
    shared = [each.name for each in environment.components if not each.versioned]
    text = f"service `{environment.service}`, versioned: {', '.join(versioned) or 'none'}, shared: {', '.join(shared) or 'none'}"
    return environment, Finding("file", "ok", text)


def _settings_found(settings: dict[str, Any]) -> Iterator[Finding]:
    """Warns of session settings that are allowed but probably wrong."""
    found = list(_settings.odd(settings))
    for says, fix in found:
        yield Finding("session", "warning", says, fix)
    if not found:
        yield Finding("session", "ok", "the session settings are sane")
