"""Which compose files have registries that are followed."""

from __future__ import annotations

from collections.abc import Sequence

from haddock._cli._common import Settings

ANY_TAG = "unnamed"
"""A file can only be read with a tag."""


def check_followed(settings: Settings, file: list[str] | None) -> None:
    """Refuses a file that does not say which tags are released by themselves."""
    import haddock

    with haddock.connect(runtime="sim") as nowhere:
        found = nowhere.resolve(file, release=True, **settings.file_options(ANY_TAG))
    if not found.follows:
        error = haddock.NotFoundError(f"`{found.file}` does not say which tags are released by themselves")
        error.hint = "write `x-haddock: { follow: { release: \"main-*\" } }`"
        raise error


def follow_words(settings: Settings, followed: Sequence[list[str] | None]) -> list[str]:
    """The options again, for a process that follows the same files."""
    words: list[str] = []
    for file in followed:
        if file is None or file == settings.file:
            words += ["--follow"]
        else:
            words += ["--follow-file", *file]
    for name in settings.file or ():
        words += ["--file", name]
    for option, values in (("--env-file", settings.env_files), ("--profile", settings.profiles)):
        for value in values:
            words += [option, value]
    for name, image in settings.images.items():
        words += ["--image", f"{name}={image}"]
    return words if followed else []
