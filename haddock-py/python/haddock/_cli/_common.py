"""Options that every command takes, before or after its name, and the settings made from them."""

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
    from haddock import Controller, Haproxy, ResolvedFile, Revision
    from haddock._caller import Caller
    from haddock._group import Member

AUTO = "auto"
"""The tag that stands for that of git."""
F = TypeVar("F", bound=Callable[..., Any])


class FileOptions(TypedDict):
    """The arguments for the compose file, from the options."""

    tag: str | None
    images: dict[str, str] | None
    env_files: tuple[str, ...]
    variables: dict[str, str] | None


@dataclass
class Settings:
    """The values of the common options. An option after the command's name wins over one before it."""

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
    haproxy: str | None = None
    locators: str | None = None
    token_file: str | None = None
    gateway_ca: str | None = None
    gateway_cert: str | None = None
    gateway_key: str | None = None
    by: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    places: list[str] = field(default_factory=list[str])

    def again(self, *words: str) -> str:
        """A command to type next, with the same options for state directory, engine and gateway."""
        import shlex

        return f"`haddock {shlex.join([*words, *self.places])}`"

    def connect(self) -> Controller:
        """Engine, gateway and journal, as the options and the environment name them."""
        return self._connect(None)

    def look(self) -> Controller:
        """As `connect`, for commands that read only journal and gateway: it works even if the engine does not
        answer."""
        import haddock

        try:
            return self._connect(None)
        except haddock.RuntimeUnavailableError as error:
            _output.note(f"warning: {error.message}")
            # This runtime is never called.
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
            gateway_ca=self.gateway_ca,
            gateway_cert=self.gateway_cert,
            gateway_key=self.gateway_key,
            haproxy=self.haproxy,
            locators=self.locators,
            runtime=runtime,
            by=self.by,
        )
        self.say_more(f"{controller!r}, with its journal in {self.state_directory()}")
        return controller

    def say_more(self, text: str) -> None:
        """A line for `--verbose`."""
        if self.verbose:
            _output.note(text)

    def state_directory(self) -> Path:
        """The directory in which `connect` keeps the journal."""
        if self.state is not None:
            return Path(self.state)
        if named := os.environ.get("HADDOCK_STATE"):
            return Path(named)
        if os.geteuid() == 0:
            return Path("/var/lib/haddock")
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(home) / "haddock"

    def engine(self) -> str | None:
        """The engine's address, if one is named."""
        return self.docker_host or os.environ.get("HADDOCK_DOCKER_HOST") or None

    def members(self) -> list[Member]:
        """What takes the requests: gateways and HAProxys."""
        from haddock._group import members

        return members(self.gateway, self.haproxy, self.locators)

    def gateways(self) -> list[Member]:
        """The gateways among them. Their places are the URLs of their admin APIs."""
        return [member for member in self.members() if member.kind == "gateway"]

    def caller(self) -> Caller:
        """Who calls them."""
        from haddock._caller import Caller

        return Caller.of(self.token_file, self.gateway_ca, self.gateway_cert, self.gateway_key)

    def haproxys(self) -> list[tuple[Member, Haproxy]]:
        """The HAProxys among them."""
        import haddock

        found = [member for member in self.members() if member.kind == "haproxy"]
        return [(member, haddock.Haproxy._of(member.place, self.state_directory() / member.name)) for member in found]

    def has_others(self) -> bool:
        """Whether what takes the requests runs by itself, so that `haddock serve` starts no gateway."""
        return self.locators is not None or not self.gateways()

    def file_options(self, tag: str | None = None) -> FileOptions:
        """The options for the file, as arguments of verbs; `tag` if there is no `--tag`."""
        if self.tag == AUTO:
            self.tag = self._tag_of_git()
        return self._file_options(self.tag or tag)

    def _file_options(self, tag: str | None) -> FileOptions:
        profiles = {"COMPOSE_PROFILES": ",".join(self.profiles)} if self.profiles else None
        env_files = tuple(self.env_files)
        return {"tag": tag, "images": self.images or None, "env_files": env_files, "variables": profiles}

    def resolve(self, *, tag: str | None = None, release: bool = True) -> ResolvedFile:
        """The resolved compose file. It needs neither engine nor journal."""
        return self._resolve(self.file_options(tag), release)

    def _resolve(self, options: FileOptions, release: bool) -> ResolvedFile:
        import haddock

        with haddock.connect(runtime="sim") as nowhere:
            return nowhere.resolve(self.file, release=release, **options)

    def _tag_of_git(self) -> str:
        """The tag of what is checked out in the folder of the compose file."""
        # The file may need a tag before it can be read.
        found = self.file[0] if self.file else self._resolve(self._file_options("unnamed"), False).file
        revision = checked_out(Path(found).absolute().parent)
        tag = revision.tag()
        if not self.json and not self.quiet:
            differs = ", since files differ from the commit" if revision.dirty else ""
            _output.note(f"the tag is `{tag}`{differs}")
        return tag

    def tag_by_default(self, *, release: bool, required: bool = True) -> None:
        """Takes the tag of git, as with `--tag auto`, if only that is missing in the file. If git has none, that is an
        error if `required`: not every component may need it."""
        import haddock

        if self.tag or self.images:
            return
        try:
            self.resolve(release=release)
        except haddock.ComposeFileError as error:
            try:
                self.resolve(tag="unnamed", release=release)
            except haddock.HaddockError as other:
                if not required:
                    return
                # With a tag something else is wrong: that is what has to be mended.
                raise other from None
            try:
                self.tag = self._tag_of_git()
            except haddock.HaddockError as none:
                if not required:
                    return
                error.hint = f"{error.hint}; git has no tag for it: {none.message}"
                raise error from None

    def config(self, *, release: bool, values: bool, yaml: bool) -> str:
        """The resolved compose file as Compose prints it."""
        import haddock

        with haddock.connect(runtime="sim") as nowhere:
            options = self.file_options()
            return nowhere._config(self.file, options, release=release, values=values, yaml=yaml)  # pyright: ignore[reportPrivateUsage]

    def service(self, controller: Controller, named: str | None) -> str:
        """The service: the named one, that of the compose file, or the journal's only one."""
        import haddock

        if named is not None:
            return named
        try:
            # The service of a file does not depend on the tag, but the file may need one.
            return self.resolve(tag="unnamed").service
        except haddock.HaddockError:
            if self.file is not None:
                raise
        known = controller.services()
        if len(known) == 1:
            return known[0]
        if not known:
            raise Usage("no service is named", "name it, or go to the folder of its compose file; the journal has no service yet")
        raise Usage("no service is named", f"name one of {', '.join(f'`{name}`' for name in known)}")

    def found_file(self) -> str | None:
        """The compose file that is named or found; `None` if there is none."""
        import haddock

        if self.file is not None:
            return self.file[0]
        try:
            return self.resolve(tag="unnamed").file
        except haddock.NotFoundError:
            return None


def checked_out(folder: str | os.PathLike[str]) -> Revision:
    """What git has checked out; an error if the folder is in no repository."""
    import haddock

    revision = haddock.revision(folder)
    if revision is None:
        raise haddock.NotFoundError(
            f"`{os.path.abspath(folder)}` is in no git repository",
            hint="go to a folder of a repository, or name the tag by `--tag`",
        )
    return revision


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


AGAIN = (
    "state", "docker_host", "reach", "address_pool", "journal_keep",
    "gateway", "token_file", "gateway_ca", "gateway_cert", "gateway_key", "haproxy", "locators",
)  # fmt: skip
"""Options that are in a command to type next, if they were given."""


def _keep(convert: Callable[[click.Context, click.Parameter, Any], Any] | None = None) -> Callable[..., None]:
    """Puts an option's value into the settings, unless one with precedence is there."""

    def callback(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        settings = ctx.find_object(Settings)
        if ctx.resilient_parsing:
            # A shell asks for completions: only the file and the journal matter.
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
                if told is ParameterSource.COMMANDLINE and parameter.name in AGAIN:
                    settings.places += [parameter.opts[-1], value]

    return callback


def _option(*names: str, convert: Any = None, **keywords: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_keep(convert), **keywords)


FILE: list[Callable[[Any], Any]] = [
    _option("-f", "--file", "file", metavar="FILE", multiple=True, convert=_files, envvar="HADDOCK_FILE",
            show_envvar=True,
            help="The compose file. May be repeated: each file is merged over those before it. Default: found as "
            "Compose finds it."),
    _option("--tag", "tag", metavar="TAG", envvar="HADDOCK_TAG", show_envvar=True,
            help="The value of `${TAG}` in the file. `auto`: that of what git has checked out, as `haddock tag` prints it."),
    _option("--image", "images", metavar="COMPONENT=REFERENCE", multiple=True, convert=_image,
            help="A component's image; `:TAG` keeps the file's repository. May be repeated."),
    _option("--env-file", "env_files", metavar="FILE", multiple=True,
            help="A file of variables, instead of `.env`. May be repeated."),
    _option("--profile", "profiles", metavar="NAME", multiple=True,
            help="Also use components with this profile. May be repeated. Default: COMPOSE_PROFILES."),
]  # fmt: skip
PLACES: list[Callable[[Any], Any]] = [
    _option("--state", "state", metavar="PATH", envvar="HADDOCK_STATE", show_envvar=True,
            help="The state directory, with the journal. Default: /var/lib/haddock for root, else ~/.local/state/haddock."),
    _option("--docker-host", "docker_host", metavar="URL", envvar="HADDOCK_DOCKER_HOST", show_envvar=True,
            help="The engine's address. Default: as the `docker` command: DOCKER_HOST, else the current context."),
    _option("--reach", "reach", metavar="HOW", envvar="HADDOCK_REACH", show_envvar=True,
            help="How ports of containers are reached: `direct`, `published` or `published:ADDRESS`. Default: `auto`, which "
            "asks the engine."),
    _option("--address-pool", "address_pool", metavar="BLOCKS", envvar="HADDOCK_ADDRESS_POOL", show_envvar=True,
            help="The addresses for the subnets of networks. Default: 10.213.0.0/16,size=26."),
    _option("--journal-keep", "journal_keep", metavar="HOW MUCH", envvar="HADDOCK_JOURNAL_KEEP", show_envvar=True,
            help="How much history of each service is kept: all events of this time, and at least this number. Default: 400d,100000."),
    _option("--gateway", "gateway", metavar="URL", envvar="HADDOCK_GATEWAY", show_envvar=True,
            help="The gateway's admin API. Default: http://127.0.0.1:8081."),
    _option("--gateway-token-file", "token_file", metavar="FILE", envvar="HADDOCK_GATEWAY_TOKEN_FILE",
            show_envvar=True, help="The file with the token of the gateway's admin API."),
    _option("--gateway-ca", "gateway_ca", metavar="FILE", envvar="HADDOCK_GATEWAY_CA", show_envvar=True,
            help="For an admin API that speaks https: the authority of its certificate, or that certificate itself."),
    _option("--gateway-cert", "gateway_cert", metavar="FILE", envvar="HADDOCK_GATEWAY_CERT", show_envvar=True,
            help="Your certificate, for an admin API that wants one."),
    _option("--gateway-key", "gateway_key", metavar="FILE", envvar="HADDOCK_GATEWAY_KEY", show_envvar=True,
            help="The key of that certificate."),
    _option("--haproxy", "haproxy", metavar="SOCKET", envvar="HADDOCK_HAPROXY", show_envvar=True,
            help="The runtime API of an HAProxy, which takes the place of the gateway: a path or tcp://HOST:PORT. "
            "`SOCKET,SERVICE=BACKEND` names a backend. With --gateway, both serve."),
    _option("--locator", "locators", metavar="KIND=PLACE,…", envvar="HADDOCK_LOCATOR", show_envvar=True,
            help="Several locators side by side, which all have to run: `gateway=URL` and `haproxy=SOCKET`, with commas "
            "between them."),
    _option("--by", "by", metavar="NAME", envvar="HADDOCK_BY", show_envvar=True,
            help="Who asks, for the history. Default: user@host."),
]  # fmt: skip
TELLING: list[Callable[[Any], Any]] = [
    _option("--json", "json", is_flag=True, envvar="HADDOCK_JSON", show_envvar=True,
            help="Print one JSON object, or for long work one event a line."),
    _option("-q", "--quiet", "quiet", is_flag=True, envvar="HADDOCK_QUIET", show_envvar=True,
            help="Print only the result, no progress."),
    _option("-v", "--verbose", "verbose", count=True,
            help="Say which file, engine, gateway and journal are used; `-vv`: show the traceback of an error."),
]  # fmt: skip


def options(function: F) -> F:
    """The common options."""
    for option in reversed(FILE + PLACES + TELLING):
        function = option(function)
    return function


def options_without(short: str) -> Callable[[F], F]:
    """The common options, without a short form that the command uses for an option of its own."""

    def decorate(function: F) -> F:
        function = options(function)
        for parameter in getattr(function, "__click_params__", []):
            if not parameter.expose_value and short in parameter.opts:
                parameter.opts = [name for name in parameter.opts if name != short]
        return function

    return decorate


class Command(click.Command):
    """A command whose help explains its own options, and only names the common ones."""

    explained: frozenset[str] = frozenset()
    """Common options that this command explains too."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _format_options(self, ctx, formatter, self.explained)


class FileCommand(Command):
    """A command that uses the compose file."""

    explained = frozenset(("file", "tag", "images", "env_files", "profiles"))


class Group(click.Group):
    """A group whose help explains its own options, and only names the common ones."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _format_options(self, ctx, formatter, frozenset())
        self.format_commands(ctx, formatter)


RARE = ("reach", "address_pool", "journal_keep", "gateway_ca", "gateway_cert", "gateway_key")
"""Options that all commands have. Only the help of `haddock` itself explains them."""
COMMON = ("file", "tag", "images", "env_files", "profiles", "state", "docker_host", "gateway", "haproxy", "locators", "token_file", "by", "json", "quiet", "verbose")


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
    """A duration as in the compose file: `90s`, `1h30m`, `2d`."""
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


def optional_address(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A host and a port, if they are given."""
    return None if value is None else address(ctx, parameter, value)


def _services(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from haddock._cli import _complete

    return _complete.services(ctx, parameter, incomplete)


service_argument = click.argument("service", required=False, metavar="[SERVICE]", shell_complete=_services)
required_service_argument = click.argument("service", metavar="SERVICE", shell_complete=_services)
release_argument = click.argument("release", required=False, metavar="[SERVICE[@VERSION]]", shell_complete=_services)
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
settings_of = click.make_pass_decorator(Settings)
