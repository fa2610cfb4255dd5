"""Errors, for people on standard error and for programs as JSON, and the exit codes that go with them."""

from __future__ import annotations

import difflib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from haddock import HaddockError
    from haddock._cli._common import Settings

DONE = 0
FAILED = 1
USAGE = 2
INPUT = 3
UNREACHABLE = 4
BUSY = 5
NOTHING = 6
LATE = 7
BUG = 70
INTERRUPTED = 130

# The exit code of each kind of error. All other kinds have the code FAILED.
CODES: dict[str, int] = {
    "invalid_name": INPUT,
    "invalid_image_reference": INPUT,
    "invalid_value": INPUT,
    "compose_file": INPUT,
    "image_tree": INPUT,
    "not_supported": INPUT,
    "registry_unavailable": UNREACHABLE,
    "runtime_unavailable": UNREACHABLE,
    "locator_unavailable": UNREACHABLE,
    "journal_unavailable": UNREACHABLE,
    "journal_full": UNREACHABLE,
    "journal_too_new": UNREACHABLE,
    "journal_corrupt": UNREACHABLE,
    "io": UNREACHABLE,
    "busy": BUSY,
    "fenced": BUSY,
    "nothing_to_do": NOTHING,
    "nobody_acts": UNREACHABLE,
    "not_found": INPUT,
    "timed_out": LATE,
}


class Usage(click.UsageError):
    """Wrong usage, with a hint."""

    def __init__(self, message: str, hint: str | None = None, ctx: click.Context | None = None) -> None:
        super().__init__(message, ctx)
        self.hint = hint


class Stopped(Exception):
    """A signal ended long work. `said` says how to follow it or go on. It is empty if that was already shown."""

    def __init__(self, number: int = signal.SIGINT, said: list[str] | None = None) -> None:
        super().__init__(number)
        self.number = number
        self.said = said or []

    @property
    def code(self) -> int:
        """As shells number it."""
        return 128 + self.number


def code_of(error: HaddockError) -> int:
    """The exit code of an error."""
    import haddock

    if isinstance(error, haddock.ReleaseAbortedError):
        return FAILED
    return CODES.get(error.kind, FAILED)


def report(error: BaseException, settings: Settings) -> int:
    """Reports an error, and returns its exit code."""
    import haddock

    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAILED
    if isinstance(error, BrokenPipeError):
        # The reader has gone. Python's last flush must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        error = Stopped()
    if settings.verbose > 1:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, Stopped):
        if settings.json:
            _as_json({"kind": "interrupted", "message": "interrupted", "hint": " ".join(error.said) or None}, error.code)
        _say(["interrupted", *error.said])
        return error.code
    if isinstance(error, haddock.HaddockError):
        code = code_of(error)
        if settings.json:
            _as_json(error.to_dict(), code)
        _say(_lines(error))
        return code
    if isinstance(error, click.ClickException):
        return _usage(error, settings)
    if isinstance(error, OSError):
        message = f"`{error.filename}`: {error.strerror}" if error.filename else str(error)
        if settings.json:
            _as_json({"kind": "io", "message": message, "hint": None}, UNREACHABLE)
        _say([_error(message)])
        return UNREACHABLE
    message = f"this should not have happened: {type(error).__name__}: {error}"
    hint = "please report it, with the output of the same command with `-vv`"
    if settings.json:
        _as_json({"kind": "bug", "message": message, "hint": hint}, BUG)
    _say([_error(message), f"hint: {hint}"])
    return BUG


def _usage(error: click.ClickException, settings: Settings) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say([error.format_message()])
        return error.exit_code
    message = error.format_message().rstrip(".").replace("'", "`")
    message = message[:1].lower() + message[1:]
    hint = getattr(error, "hint", None)
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        message = f"there is no option `{error.option_name}`"
        hint = f"did you mean `{difflib.get_close_matches(error.option_name, error.possibilities, 1, 0)[0]}`?"
    if hint is None and isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"`{error.ctx.command_path} --help` shows how"
    if settings.json:
        _as_json({"kind": "usage", "message": message, "hint": hint}, error.exit_code)
    _say([_error(message), *([f"hint: {hint}"] if hint else [])])
    return error.exit_code


def _lines(error: HaddockError) -> list[str]:
    place = "" if error.place is None else f"{error.place}: "
    lines = [_error(place + error.message)]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    lines += [f"log: {line}" for line in error.log_tail]
    return lines


def _error(message: str) -> str:
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return (click.style("error:", fg="red", bold=True) if coloured else "error:") + f" {message}"


def _say(lines: list[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _as_json(error: dict[str, Any], code: int) -> None:
    print(json.dumps({"error": error, "exit_code": code}, ensure_ascii=False), flush=True)
