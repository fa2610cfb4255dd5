"""Files into and out of a container, as an archive through a command in it: `tar` has to be in its image."""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
import tempfile
from typing import IO, TYPE_CHECKING

from ._errors import InvalidValueError, NotFoundError, NotSupportedError, RuntimeRefusedError

if TYPE_CHECKING:
    from ._environment_results import Executed

_NOT_FOUND, _NOT_RUN = 127, 126
"""Exit codes of a shell or an engine for a program that does not exist or cannot be run."""


def archived() -> IO[bytes]:
    """A temporary file for an archive."""
    return tempfile.TemporaryFile()


def placed(target: str) -> tuple[str, str]:
    """The folder and the name of an absolute path within a container."""
    if not target.startswith("/"):
        raise InvalidValueError(f"`{target}` is not an absolute path within the container", hint="begin it with `/`")
    folder, name = posixpath.split(posixpath.normpath(target))
    if not name:
        raise InvalidValueError("the root of a container cannot be copied", hint="name a file or a folder in it")
    return folder, name


def packed(source: str, target: str) -> tuple[IO[bytes], list[str]]:
    """An archive of a file or folder under its new name, and the command that unpacks it."""
    if target.endswith("/"):
        target += os.path.basename(os.path.abspath(source))
    folder, name = placed(target)
    archive = archived()
    try:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(source, arcname=name)
    except FileNotFoundError as error:
        archive.close()
        raise NotFoundError(f"`{error.filename}` does not exist", hint="check the path on this machine") from None
    except BaseException:
        archive.close()
        raise
    archive.seek(0)
    return archive, ["tar", "-x", "-f", "-", "-C", folder]


def packing(source: str) -> list[str]:
    """The command that writes an archive of a file or folder."""
    folder, name = placed(source)
    return ["tar", "-c", "-f", "-", "-C", folder, name]


def unpacked(archive: IO[bytes], source: str, target: str) -> None:
    """Unpacks the archive to its place. It appears there only as a whole."""
    _, name = placed(source)
    if target.endswith("/") or os.path.isdir(target):
        target = os.path.join(target, name)
    folder = os.path.dirname(os.path.abspath(target))
    os.makedirs(folder, exist_ok=True)
    archive.seek(0)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        with tarfile.open(fileobj=archive) as tar:
            # Nothing outside the folder is written, whatever the archive says.
            tar.extractall(place, filter="data")
        if os.path.isdir(target):
            shutil.copytree(os.path.join(place, name), target, dirs_exist_ok=True)
        else:
            os.replace(os.path.join(place, name), target)


def copied(ran: Executed, component: str, what: str) -> None:
    """Raises the error for a failure in the container."""
    if ran.exit_code == 0:
        return
    said = ran.stderr.strip() or ran.stdout.strip()
    if ran.exit_code in (_NOT_FOUND, _NOT_RUN):
        what = f"{what} of component `{component}` cannot be copied: there is no `tar` in its image"
        raise NotSupportedError(what, hint="put `tar` into the image, or mount a volume")
    if "No such file" in said or "can't change directory" in said:
        raise NotFoundError(f"{what} of component `{component}` does not exist: {said}", hint="check the path")
    raise RuntimeRefusedError(f"{what} of component `{component}` cannot be copied: {said}")
