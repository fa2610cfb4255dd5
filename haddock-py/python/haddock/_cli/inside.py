"""`haddock exec`: a command within a container, as `docker exec -i` runs it in a pipe and `-it` on a terminal."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from haddock._cli import _common, _complete, _output, _words
from haddock._cli._common import Settings, settings_of
from haddock._cli._errors import Stopped, Usage
from haddock._cli.environment import name_option

if TYPE_CHECKING:
    from haddock import Controller, RunningCommand

CHUNK = 64 * 1024
"""Bytes of standard input that are read at a time: as a pipe holds by default."""

service_option = click.option("--service", metavar="SERVICE", shell_complete=_complete.services, help="Use an instance of this service, not an environment.")
instance_option = click.option("--instance", metavar="ID", help="The instance. Default: the newest one that serves.")


@click.command("exec", cls=_common.FileCommand, context_settings={"ignore_unknown_options": True})
@click.argument("component", shell_complete=_complete.components)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-T", "--no-tty", is_flag=True, help="Give the command no terminal, even if there is one.")
@click.option("--no-stdin", is_flag=True, help="The command reads no input. Use this in a shell loop, whose input it would take.")
@click.option("--timeout", "--within", "limit", metavar="DURATION", callback=_common.seconds,
              help="Wait no longer than this. Default: until the command has ended.")  # fmt: skip
@service_option
@instance_option
@name_option
@_common.options
@settings_of
def exec_(
    settings: Settings,
    component: str,
    command: tuple[str, ...],
    no_tty: bool,
    no_stdin: bool,
    limit: float | None,
    service: str | None,
    instance: str | None,
    name: str | None,
) -> int:
    """Run a command within a component's container, and exit with its exit code.

    Standard input, standard output and standard error are passed on byte for byte. If this runs on a terminal, the
    command gets a terminal, and Ctrl-C goes to the command. Write options of the command after `--`.

    With `--json`, the exit code and the output, as text, are printed at the end.
    """
    if instance is not None and service is None:
        raise Usage("`--instance` needs `--service`", "say of which service it is an instance")
    stdin = not no_stdin and sys.stdin is not None
    on_terminal = not (no_tty or settings.json) and stdin and sys.stdin.isatty() and sys.stdout.isatty()
    # Not by `shutil`, which believes COLUMNS: the program is to have the window's.
    size = tuple(os.get_terminal_size(sys.stdout.fileno())) if on_terminal else None
    with settings.connect() as controller:
        if settings.json:
            source: Any = sys.stdin.buffer if stdin else None
            if service is not None:
                ran = controller.exec(service, command, instance=instance, component=component, stdin=source, timeout=limit)
            else:
                there = controller.environment(name, file=settings.file)
                ran = there.exec(component, command, stdin=source, timeout=limit)
            _output.json_line(ran.to_dict())
            return ran.exit_code
        started = _start(controller, settings, (name, service, instance, component), command, stdin, size)
        with _raw_terminal(started) if on_terminal else _piped():
            return _pump(started, stdin, limit)


def _start(
    controller: Controller, settings: Settings, where: tuple[str | None, str | None, str | None, str],
    command: tuple[str, ...], stdin: bool, size: Any,
) -> RunningCommand:  # fmt: skip
    name, service, instance, component = where
    if service is not None:
        return controller.attach(
            service, command, instance=instance, component=component, stdin=stdin, terminal=size
        )
    environment = controller.environment(name, file=settings.file)
    return environment.attach(component, command, stdin=stdin, terminal=size)


def _pump(started: RunningCommand, stdin: bool, limit: float | None) -> int:
    """Passes bytes on, both ways, until the command has ended."""
    import haddock

    if stdin:
        threading.Thread(target=_feed, args=(started,), name="stdin", daemon=True).start()
    if limit is not None:

        def late(_number: int, _frame: Any) -> None:
            error = haddock.TimedOutError(f"the command has not ended within {_words.exactly(limit)}")
            error.hint = "the command goes on in its container"
            raise error

        signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, max(limit, 0.001))
    outputs = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    for stream, data in started:
        outputs[stream].write(data)
        outputs[stream].flush()
    return started.exit_code()


def _feed(started: RunningCommand) -> None:
    """Sends standard input as it comes, and then its end."""
    import haddock

    # The reader reports errors of the connection.
    with suppress(haddock.HaddockError, OSError):
        while data := os.read(sys.stdin.fileno(), CHUNK):
            if not started.write(data):
                return
    with suppress(haddock.HaddockError):
        started.close_input()


@contextmanager
def _piped() -> Iterator[None]:
    yield


@contextmanager
def _raw_terminal(started: RunningCommand) -> Iterator[None]:
    """Each key goes to the program, and the size of the window with it. In the end the terminal is as it was."""
    import termios
    import tty

    import haddock

    before = termios.tcgetattr(sys.stdin.fileno())

    def resized(_number: int, _frame: Any) -> None:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        with suppress(haddock.HaddockError):
            started.resize(columns, rows)

    def stopped(number: int, _frame: Any) -> None:
        raise Stopped(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stopped)
    signal.signal(signal.SIGWINCH, resized)
    tty.setraw(sys.stdin.fileno())
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)
