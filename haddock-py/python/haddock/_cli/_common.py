"""Options that every command takes, before or after its name, and what follows from them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

import click
from click.core import ParameterSource

from haddock._cli import _output
from haddock._cli._errors import Usage

if TYPE_CHECKING:
    from haddock import Controller, ResolvedFile

F = TypeVar("F", bound=Callable[..., Any])


class FileOptions(TypedDict):
    """What the options say about the compose file."""

    tag: str | None
    images: dict[str, str] | None
    env_files: tuple[str, ...]
    variables: dict[str, str] | None


@dataclass
class Settings:
    """What the common options say. What was given after the command's name wins over what stands before it."""

    file: list[str] | None = None
    tag: str | None = None
    images: dict[str, str] = field(default_factory=dict[str, str])
    env_files: list[str] = field(default_factory=list[str])
    profiles: list[str] = field(default_factory=list[str])
    state: str | None = None
    docker_host: str | None = None
    reach: str | None = None
    address_pool: str | None = None
    journal_keep: str | None = None
    gateway: str | None = None
    token_file: str | None = None
    by: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    places: list[str] = field(default_factory=list[str])

    def again(self, *words: str) -> str:
        """A command to type next, with what was said here about where things are."""
        import shlex

        return f"`haddock {shlex.join([*words, *self.places])}`"

    def connect(self) -> Controller:
        """Engine, gateway and journal, as the options and the environment name them."""
        return self._connect(None)

    def look(self) -> Controller:
        """As `connect`, for what reads journal and gateway alone: it works while the engine does not answer."""
        import haddock

        try:
            return self._connect(None)
        except haddock.RuntimeUnavailableError as error:
            _output.note(f"warning: {error.message}")
            # Nothing is asked of this runtime.
            return self._connect("process")

    def _connect(self, runtime: Literal["process"] | None) -> Controller:
        import haddock

        controller = haddock.connect(
            state=self.state,
            docker_host=self.docker_host,
            reach=self.reach,
            address_pool=self.address_pool,
            journal_keep=self.journal_keep,
            gateway=self.gateway,
            gateway_token_file=self.token_file,
            runtime=runtime,
            by=self.by,
        )
        self.say_more(f"{controller!r}, with its journal in {self.state_directory()}")
        return controller

    def say_more(self, text: str) -> None:
        """A line that only those see who want to know more."""
        if self.verbose:
            _output.note(text)

    def state_directory(self) -> Path:
        """Where `connect` keeps the journal."""
        if self.state is not None:
            return Path(self.state)
        if named := os.environ.get("HADDOCK_STATE"):
            return Path(named)
        if os.geteuid() == 0:
            return Path("/var/lib/haddock")
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(home) / "haddock"

    def gateway_url(self) -> str:
        """Where the gateway's admin API is."""
        return self.gateway or os.environ.get("HADDOCK_GATEWAY") or "http://127.0.0.1:8081"

    def file_options(self, tag: str | None = None) -> FileOptions:
        """What the options say about the file, as verbs take it; `tag` if they say none."""
        profiles = {"COMPOSE_PROFILES": ",".join(self.profiles)} if self.profiles else None
        env_files = tuple(self.env_files)
        return {"tag": self.tag or tag, "images": self.images or None, "env_files": env_files, "variables": profiles}

    def resolve(self, *, tag: str | None = None, release: bool = True) -> ResolvedFile:
        """The compose file, resolved. It takes neither engine nor journal, so it works where they do not."""
        import haddock

        with haddock.connect(runtime="sim") as nowhere:
            return nowhere.resolve(self.file, release=release, **self.file_options(tag))

    def config(self, *, release: bool, values: bool, yaml: bool) -> str:
        """The compose file as Compose writes it once it is resolved."""
        import haddock

        with haddock.connect(runtime="sim") as nowhere:
            options = self.file_options()
            return nowhere._config(self.file, options, release=release, values=values, yaml=yaml)  # pyright: ignore[reportPrivateUsage]

    def service(self, controller: Controller, named: str | None) -> str:
        """The service that is meant: the one named, that of the compose file, or the journal's only one."""
        import haddock

        if named is not None:
            return named
        try:
            # Which service a file describes does not depend on the tag, but a file may not do without one.
            return self.resolve(tag="unnamed").service
        except haddock.HaddockError:
            if self.file is not None:
                raise
        known = controller.services()
        if len(known) == 1:
            return known[0]
        if not known:
            raise Usage("no service is named", "name it, or go where its compose file is; the journal knows none yet")
        raise Usage("no service is named", f"name one of {', '.join(f'`{name}`' for name in known)}")

    def found_file(self) -> str | None:
        """The compose file that is named, or else found; `None` if none is."""
        import haddock

        if self.file is not None:
            return self.file[0]
        try:
            return self.resolve(tag="unnamed").file
        except haddock.NotFoundError:
            return None


def _files(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> list[str] | None:
    return list(values) or None


def _image(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    images: dict[str, str] = {}
    for value in values:
        component, equals, reference = value.partition("=")
        if not (component and equals and reference):
            raise click.BadParameter(f"`{value}` is not of the form COMPONENT=REFERENCE")
        if component in images:
            raise click.BadParameter(f"component `{component}` is named twice")
        images[component] = reference
    return images


def _keep(convert: Callable[[click.Context, click.Parameter, Any], Any] | None = None) -> Callable[..., None]:
    """Puts an option's value into the settings, unless a more telling one is there."""

    def callback(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        settings = ctx.find_object(Settings)
        if ctx.resilient_parsing:
            # A shell asks for completions: which file and journal are meant is all that counts.
            if settings is not None and value and parameter.name in ("file", "state", "docker_host"):
                setattr(settings, parameter.name, list(value) if parameter.name == "file" else value)
            return
        assert settings is not None and parameter.name is not None
        if convert is not None:
            value = convert(ctx, parameter, value)
        if parameter.name == "verbose":
            settings.verbose += value
        elif parameter.name == "images":
            settings.images.update(value)
        elif parameter.name == "env_files":
            settings.env_files.extend(value)
        elif parameter.name == "profiles":
            settings.profiles.extend(value)
        else:
            told = ctx.get_parameter_source(parameter.name)
            before = getattr(settings, parameter.name)
            if told is ParameterSource.COMMANDLINE or (value and not before):
                setattr(settings, parameter.name, value)
                if told is ParameterSource.COMMANDLINE and parameter.name in ("state", "docker_host", "reach", "address_pool", "journal_keep", "gateway", "token_file"):
                    settings.places += [parameter.opts[-1], value]

    return callback


def _option(*names: str, convert: Any = None, **keywords: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_keep(convert), **keywords)


FILE: list[Callable[[Any], Any]] = [
    _option("-f", "--file", "file", metavar="FILE", multiple=True, convert=_files, envvar="HADDOCK_FILE",
            show_envvar=True, help="The compose file. Repeated, each is merged over those before it. Default: found as "
            "Compose finds it."),
    _option("--tag", "tag", metavar="TAG", envvar="HADDOCK_TAG", show_envvar=True,
            help="The value of `${TAG}` in the file."),
    _option("--image", "images", metavar="COMPONENT=REFERENCE", multiple=True, convert=_image,
            help="A component's image; `:TAG` keeps the file's repository. May be repeated."),
    _option("--env-file", "env_files", metavar="FILE", multiple=True,
            help="Variables for the file, in place of `.env`. May be repeated."),
    _option("--profile", "profiles", metavar="NAME", multiple=True,
            help="Components with this profile, too. May be repeated. Default: COMPOSE_PROFILES."),
]  # fmt: skip
PLACES: list[Callable[[Any], Any]] = [
    _option("--state", "state", metavar="PATH", envvar="HADDOCK_STATE", show_envvar=True,
            help="Where the journal is kept. Default: /var/lib/haddock for root, else ~/.local/state/haddock."),
    _option("--docker-host", "docker_host", metavar="URL", envvar="HADDOCK_DOCKER_HOST", show_envvar=True,
            help="The engine. Default: that of the `docker` command: DOCKER_HOST, else the current context."),
    _option("--reach", "reach", metavar="HOW", envvar="HADDOCK_REACH", show_envvar=True,
            help="Where ports of containers are reached: `direct`, `published` or `published:ADDRESS`. Default: `auto`, the "
            "engine is asked."),
    _option("--address-pool", "address_pool", metavar="BLOCKS", envvar="HADDOCK_ADDRESS_POOL", show_envvar=True,
            help="Where networks get subnets from. Default: 10.213.0.0/16,size=26."),
    _option("--journal-keep", "journal_keep", metavar="HOW MUCH", envvar="HADDOCK_JOURNAL_KEEP", show_envvar=True,
            help="How much history is kept of each service: what is younger, and so many events. Default: 400d,100000."),
    _option("--gateway", "gateway", metavar="URL", envvar="HADDOCK_GATEWAY", show_envvar=True,
            help="The gateway's admin API. Default: http://127.0.0.1:8081."),
    _option("--gateway-token-file", "token_file", metavar="FILE", envvar="HADDOCK_GATEWAY_TOKEN_FILE",
            show_envvar=True, help="The file with the token of the gateway's admin API."),
    _option("--by", "by", metavar="NAME", envvar="HADDOCK_BY", show_envvar=True,
            help="Who asks, for the history. Default: user@host."),
]  # fmt: skip
TELLING: list[Callable[[Any], Any]] = [
    _option("--json", "json", is_flag=True, envvar="HADDOCK_JSON", show_envvar=True,
            help="One JSON object, or for long work one event a line."),
    _option("-q", "--quiet", "quiet", is_flag=True, envvar="HADDOCK_QUIET", show_envvar=True,
            help="Only the result: not what is done meanwhile."),
    _option("-v", "--verbose", "verbose", count=True,
            help="Say which file, engine, gateway and journal are used; `-vv`: where in the code an error arose."),
]  # fmt: skip


def options(function: F) -> F:
    """The common options."""
    for option in reversed(FILE + PLACES + TELLING):
        function = option(function)
    return function


def options_without(short: str) -> Callable[[F], F]:
    """The common options, but for a short form that the command uses for something of its own."""

    def decorate(function: F) -> F:
        function = options(function)
        for parameter in getattr(function, "__click_params__", []):
            if not parameter.expose_value and short in parameter.opts:
                parameter.opts = [name for name in parameter.opts if name != short]
        return function

    return decorate


class Command(click.Command):
    """A command that explains its own options, and names those that all have."""

    explained: frozenset[str] = frozenset()
    """Common options that this command explains too."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _format_options(self, ctx, formatter, self.explained)


class FileCommand(Command):
    """A command that is about the compose file."""

    explained = frozenset(("file", "tag", "images", "env_files", "profiles"))


class Group(click.Group):
    """A group that explains its own options, and names those that all commands have."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _format_options(self, ctx, formatter, frozenset())
        self.format_commands(ctx, formatter)


RARE = ("reach", "address_pool", "journal_keep")
"""What all commands have too; the page of `haddock` itself alone names them."""
COMMON = ("file", "tag", "images", "env_files", "profiles", "state", "docker_host", "gateway", "token_file", "by", "json", "quiet", "verbose")


def _format_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter, explained: frozenset[str]
) -> None:
    own: list[tuple[str, str]] = []
    common: list[str] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None or isinstance(parameter, click.Argument):
            continue
        if parameter.name in RARE and ctx.parent is not None:
            continue
        if parameter.name in COMMON and parameter.name not in explained:
            common.append(max(parameter.opts, key=len))
        else:
            own.append(record)
    with formatter.section("Options"):
        formatter.write_dl(own)
    with formatter.section("Options of all commands, explained by `haddock --help`"):
        formatter.write_text(", ".join(common))


def seconds(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """A duration as the compose file has them: `90s`, `1h30m`, `2d`."""
    if value is None:
        return None
    import haddock
    from haddock import _values

    try:
        return _values.seconds(value, "duration")
    except haddock.HaddockError as error:
        raise click.BadParameter(f"{error.message}; {error.hint}") from None


def address(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    """A host and a port, as they are written."""
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdigit() and int(port) < 65536):
        raise click.BadParameter(f"`{value}` is not of the form HOST:PORT")
    return value


def _services(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from haddock._cli import _complete

    return _complete.services(ctx, parameter, incomplete)


service_argument = click.argument("service", required=False, metavar="[SERVICE]", shell_complete=_services)
required_service_argument = click.argument("service", metavar="SERVICE", shell_complete=_services)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
settings_of = click.make_pass_decorator(Settings)
