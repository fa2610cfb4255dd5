"""`haddock serve`: gateway and controller as two processes, or one of them."""

from __future__ import annotations

from typing import Any

import click

from haddock._cli import _common
from haddock._cli._common import Settings, settings_of
from haddock._cli._wanted import Wanted

LISTEN = "127.0.0.1:8080"
ADMIN = "127.0.0.1:8081"
FILE = click.Path(exists=True, dir_okay=False)


def _service(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, list[str]]:
    services: dict[str, list[str]] = {}
    for value in values:
        name, _, hosts = value.partition("=")
        if not name:
            raise click.BadParameter(f"`{value}` is not of the form NAME or NAME=HOST,HOST")
        services.setdefault(name, []).extend(host.strip() for host in hosts.split(",") if host.strip())
    return services


def _wanted(
    certificates: tuple[str, ...],
    keys: tuple[str, ...],
    redirect: str | None,
    strict_transport: float,
    admin_cert: str | None,
    admin_key: str | None,
    admin_client_ca: str | None,
    **others: Any,
) -> Wanted:
    """What the options of a gateway say. Each certificate has its key."""
    if len(certificates) != len(keys):
        numbers = f"--tls-cert is given {len(certificates)} times and --tls-key {len(keys)} times"
        raise click.UsageError(f"{numbers}: give one key for each certificate, in the same order")
    if not certificates and (redirect is not None or strict_transport):
        option = "--http-redirect" if redirect is not None else "--hsts"
        raise click.UsageError(f"{option} needs https: give --tls-cert and --tls-key, too")
    if (admin_cert is None) != (admin_key is None):
        there, missing = ("--admin-tls-cert", "--admin-tls-key") if admin_key is None else ("--admin-tls-key", "--admin-tls-cert")
        raise click.UsageError(f"{there} is given and {missing} is not: a certificate needs its key")
    if admin_cert is None and admin_client_ca is not None:
        raise click.UsageError("--admin-client-ca needs https: give --admin-tls-cert and --admin-tls-key, too")
    return Wanted(
        **others,
        tls=list(zip(certificates, keys)),
        redirect=redirect,
        strict_transport=strict_transport,
        admin_tls=(admin_cert, admin_key) if admin_cert is not None and admin_key is not None else None,
        admin_client_ca=admin_client_ca,
    )


def gateway_options(function: Any) -> Any:
    """The options of both `haddock serve` and `haddock serve gateway`."""
    for option in (
        click.option("--grace", default="10s", metavar="DURATION", show_default=True, callback=_common.seconds,
                     help="How long requests in flight may take when it ends."),
        click.option("--hsts", "strict_transport", default="0s", metavar="DURATION", show_default=True, callback=_common.seconds,
                     help="Tell clients to use nothing but https for this long (`Strict-Transport-Security`). `0s`: do not."),
        click.option("--http-redirect", "redirect", metavar="HOST:PORT", callback=_common.optional_address,
                     help="Send clients that come to this address by http to https."),
        click.option("--tls-key", "keys", metavar="FILE", multiple=True, type=FILE,
                     help="The key of the certificate, as PEM. Once for each --tls-cert, in the same order."),
        click.option("--tls-cert", "certificates", metavar="FILE", multiple=True, type=FILE,
                     help="A certificate chain as PEM: clients connect by https. May be repeated; the name that a client asks for decides. Changed files are used within some seconds."),
        click.option("--admin-client-ca", metavar="FILE", type=FILE,
                     help="Each caller of the admin API needs a certificate for clients by one of these authorities, as PEM."),
        click.option("--admin-tls-key", "admin_key", metavar="FILE", type=FILE, help="The key of that certificate, as PEM."),
        click.option("--admin-tls-cert", "admin_cert", metavar="FILE", type=FILE,
                     help="A certificate chain as PEM: the admin API speaks https, and nothing else."),
        click.option("--allow-trace", is_flag=True, help="Pass TRACE on. By default it is refused."),
        click.option("--tunnel-idle", default="0s", metavar="DURATION", show_default=True, callback=_common.seconds,
                     help="End a WebSocket over which nothing was sent for this time. `0s`: never."),
        click.option("--tcp-keepalive", default="60s", metavar="DURATION", show_default=True, callback=_common.seconds,
                     help="After this time of silence, test whether the other end of a connection is still there. `0s`: never."),
        click.option("--trust-proxy", metavar="CIDR", multiple=True,
                     help="Trust what these peers say of clients: `Forwarded` and `X-Forwarded-*` headers, and the PROXY protocol. May be repeated."),
        click.option("--service", "services", metavar="NAME[=HOST,…]", multiple=True, callback=_service,
                     help="A service and the hosts of its requests. Default: the first service that is released gets all hosts."),
        click.option("--admin", default=ADMIN, metavar="HOST:PORT", callback=_common.address, envvar="HADDOCK_ADMIN",
                     show_envvar=True, show_default=True,
                     help="The address of the admin API. Other addresses than the loopback need a token file, or --admin-client-ca."),
        click.option("--listen", default=LISTEN, metavar="HOST:PORT", callback=_common.address, envvar="HADDOCK_LISTEN",
                     show_envvar=True, show_default=True, help="The address for clients."),
    ):  # fmt: skip
        function = option(function)
    return function


def follow_options(function: Any) -> Any:
    """The options for continuous releases."""
    for option in (
        click.option("--follow-file", "follow_files", metavar="FILE", multiple=True,
                     help="As --follow, for this compose file. May be repeated, once for each service."),
        click.option("--follow", is_flag=True,
                     help="Release each new tag of the registry by itself, as `x-haddock.follow` of the compose file says."),
    ):  # fmt: skip
        function = option(function)
    return function


monitor_option = click.option(
    "--monitor", default="60s", show_default=True, metavar="DURATION", callback=_common.seconds,
    help="How often to look for idle environments, if their files have `x-haddock.idle`. `0s`: never.",
)  # fmt: skip


# For the processes that `haddock serve` starts: they end when it ends, even if it is killed.
until_stdin_ends = click.option("--until-stdin-ends", is_flag=True, hidden=True)


@click.group(cls=_common.Group, invoke_without_command=True, subcommand_metavar="[gateway | controller] [OPTIONS] …")
@gateway_options
@monitor_option
@follow_options
@_common.options
@settings_of
@click.pass_context
def serve(
    ctx: click.Context,
    settings: Settings,
    monitor: float,
    follow: bool,
    follow_files: tuple[str, ...],
    **given: Any,
) -> int | None:
    """Run gateway and controller, as two processes, until SIGTERM or Ctrl-C.

    If one of them dies, it is started again, and the other goes on. Clients that connect while there is no gateway wait
    for the next one. Both keep their state in the state directory, so they go on where they were. `gateway` or
    `controller` runs one of them alone, for instance on another machine. With --haproxy, an HAProxy of yours takes the
    requests, and no gateway is started, unless with --gateway.
    """
    if ctx.invoked_subcommand is not None:
        return None
    from haddock._cli._supervise import supervise

    wanted = _wanted(**given)
    if wanted.admin_client_ca is not None and settings.caller().own is None:
        raise click.UsageError("with --admin-client-ca, the controller needs a certificate, too: give --gateway-cert and --gateway-key")
    return supervise(settings, wanted, monitor, _followed(settings, follow, follow_files))


@serve.command(cls=_common.Command, short_help="Run the gateway alone.")
@gateway_options
@until_stdin_ends
@_common.options
@settings_of
def gateway(
    settings: Settings,
    until_stdin_ends: bool,
    **given: Any,
) -> int:
    """Run the gateway: the proxy that keeps sessions on their instances.

    Its tables and its key are in STATE/gateway. If a systemd socket unit hands over a listening socket, the gateway
    uses it instead of `--listen`. Then clients wait while the gateway restarts, and none is refused. It prints one line
    when it takes connections. At SIGTERM or Ctrl-C it ends after the requests in flight. Started beside one that runs with
    the same STATE, it takes its place: no request fails and no session is forgotten. The other one then ends by itself, with
    its last connection or after its --grace.
    """
    from haddock._cli._processes import run_gateway

    return run_gateway(settings, _wanted(**given), until_stdin_ends)


@serve.command(cls=_common.Command, short_help="Run the controller alone.")
@click.argument("services", nargs=-1, metavar="[SERVICE]…")
@monitor_option
@follow_options
@until_stdin_ends
@_common.options
@settings_of
def controller(
    settings: Settings,
    services: tuple[str, ...],
    monitor: float,
    follow: bool,
    follow_files: tuple[str, ...],
    until_stdin_ends: bool,
) -> int:
    """Run the controller: it acts for every service in the journal, or for those that you name, and prints events.

    It also stops, and later removes, test environments that nobody uses, as their files say. It may be killed at any
    time; the next one goes on.
    """
    from haddock._cli._processes import run_controller

    return run_controller(settings, services, monitor, until_stdin_ends, _followed(settings, follow, follow_files))


def _followed(settings: Settings, follow: bool, files: tuple[str, ...]) -> list[list[str] | None]:
    """The compose files whose registries are followed, each of one or several files; `None`: the one that is found."""
    return [settings.file] * follow + [[file] for file in files]
