"""`haddock images`, `build`, `push`, `pull`, `images prune`: the images of a tree of Dockerfiles."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from haddock._cli import _build_progress, _common, _output, _progress, _words
from haddock._cli._common import Settings, settings_of
from haddock._cli._errors import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haddock import BuiltImage, Controller, Images, PrunedFromRegistry, PrunedImage, TransferredImage


def _folder(ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not os.path.isdir(value) and not ctx.resilient_parsing:
        hint = f"the folder comes first: `haddock {ctx.info_name} . {value}` means the image `{value}` of this folder"
        raise Usage(f"`{value}` is not a folder", hint)
    if os.path.exists("haddock-images.yaml") and _is_name(value) and not ctx.resilient_parsing:
        hint = f"for the image write `haddock {ctx.info_name} . {value}`, for the folder as a tree of its own `./{value}`"
        raise Usage(f"`{value}` may be an image of this folder's tree, or a folder", hint)
    return value


def _is_name(folder: str) -> bool:
    """Whether it could be the name of an image, too."""
    return not folder.startswith((".", "/"))


def _args(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    args: dict[str, str] = {}
    for value in values:
        name, equals, given = value.partition("=")
        if not name:
            raise click.BadParameter("an argument has no name: write NAME=VALUE, or NAME for the variable of that name")
        if not equals and name not in os.environ:
            raise click.BadParameter(f"`{name}` has no value, and there is no variable of that name: write {name}=VALUE")
        args[name] = given if equals else os.environ[name]
    return args


folder_argument = click.argument("folder", default=".", metavar="[FOLDER]", callback=_folder)
args_option = click.option(
    "--build-arg", "args", metavar="NAME=VALUE", multiple=True, callback=_args,
    help="A value of `ARG`, for each image whose Dockerfile takes it. NAME alone: the variable's value. May be repeated.",
)  # fmt: skip
images_argument = click.argument("names", nargs=-1, metavar="[IMAGE]...")
allow_dirty_option = click.option("--allow-dirty", is_flag=True, help="Push although files differ from the commit.")


class TagCommand(_common.Command):
    """A command whose help explains `--tag`."""

    explained = frozenset(("tag",))


def images_of(settings: Settings, folder: str, args: dict[str, str]) -> Images:
    """The images of a folder, at the tag that the options name."""
    import haddock

    memory = settings.state_directory() / "images"
    found = haddock.Images(folder, tag=settings.tag, args=args, docker_host=settings.engine(), memory=memory)
    settings.say_more(f"the tag is {found.tag}")
    return found


@click.command("images", cls=TagCommand)
@folder_argument
@args_option
@click.option("--svg", is_flag=True, help="Print an SVG picture: what stands on what, and what this host has.")
@_common.options
@settings_of
def images(settings: Settings, folder: str, args: dict[str, str], svg: bool) -> int:
    """Show the images of a tree: what each stands on, and what this host has of it.

    The tree is read from the Dockerfiles below FOLDER, and from `haddock-images.yaml` there. `there`: the host has an
    image of the present files. `changed`: it has one of other files, and a build would make it anew. `missing`: it has
    none. `unknown`: the engine does not answer.

    `haddock images prune` removes old images.
    """
    if svg and settings.json:
        raise Usage("`--svg` and `--json` are both given", "name one of them")
    tree = images_of(settings, folder, args)
    if svg:
        click.echo(tree.svg(), nl=False)
        return 0
    found = tree.list()
    if settings.json:
        _output.json_line({"images": [image.to_dict() for image in found]})
        return 0
    rows = [[image.name, image.base or "scratch", image.reference, image.state] for image in found]
    _output.table(["image", "stands on", "reference", "state"], rows)
    return 0


@click.command("build", cls=TagCommand)
@folder_argument
@images_argument
@click.option("--push", is_flag=True, help="Push each image as soon as it is there.")
@click.option("--changed", is_flag=True, help="Leave alone what has not changed and what the registry has: no new tag, no push.")
@click.option("--pull", is_flag=True, help="Ask registries whether images outside of the tree have moved.")
@click.option("--no-cache", is_flag=True, help="Build all anew.")
@args_option
@allow_dirty_option
@_common.dry_run_option
@_common.options
@settings_of
def build(
    settings: Settings,
    folder: str,
    names: tuple[str, ...],
    push: bool,
    changed: bool,
    pull: bool,
    no_cache: bool,
    args: dict[str, str],
    allow_dirty: bool,
    dry_run: bool,
) -> int:
    """Build the images of a tree: what has changed, and all that stands on it.

    Each image gets the tag of branch and commit, or that of `--tag`. What has not changed is not built: it is kept, or
    pulled if its registry has it from another machine. Without IMAGE all are built. With it, only these and what they
    need. Several are built at the same time, and each as soon as what it needs is there.
    """
    tree = images_of(settings, folder, args)
    if dry_run:
        planned = tree.plan(*names, push=push, changed=changed, pull=pull, no_cache=no_cache)
        if settings.json:
            _output.json_line({"images": [image.to_dict() for image in planned]})
        else:
            _output.table(["image", "action", "because"], [[it.name, it.action, it.because] for it in planned])
        return 0
    with _build_progress.shown(settings) as on_event:
        built = tree.build(
            *names, push=push, changed=changed, pull=pull, no_cache=no_cache, allow_dirty=allow_dirty, on_event=on_event
        )
    if settings.json:
        _output.json_line({"images": [image.to_dict() for image in built]})
        return 0
    _built(built, changed)
    return 0


def _built(built: Sequence[BuiltImage], changed: bool) -> None:
    """What was done. If nothing was to be done, that is one line."""
    work = [image for image in built if image.action != "keep" or image.digest]
    if not work:
        at = "" if changed else f" at `{_tag(built)}`"
        _output.line(f"nothing has changed: {_words.many(len(built), 'image')}{at}")
        return
    _output.table(["image", "was", "reference"], [[it.name, _past(it), it.digest or it.reference] for it in built])


def _past(image: BuiltImage) -> str:
    # It was not needed here.
    return "in registry" if image.action == "pull" and image.id is None else _PAST[image.action]


_PAST = {"build": "built", "keep": "there", "pull": "pulled"}


def _tag(built: Sequence[BuiltImage]) -> str:
    return built[0].reference.rpartition(":")[2] if built else ""


@click.command("push", cls=TagCommand)
@folder_argument
@images_argument
@args_option
@allow_dirty_option
@_common.options
@settings_of
def push(settings: Settings, folder: str, names: tuple[str, ...], args: dict[str, str], allow_dirty: bool) -> int:
    """Push the images of a tree to their registries, as they were built at this tag."""
    tree = images_of(settings, folder, args)
    with _build_progress.shown(settings) as on_event:
        pushed = tree.push(*names, allow_dirty=allow_dirty, on_event=on_event)
    return _transferred(settings, pushed)


@click.command("pull", cls=TagCommand)
@folder_argument
@images_argument
@args_option
@_common.options
@settings_of
def pull(settings: Settings, folder: str, names: tuple[str, ...], args: dict[str, str]) -> int:
    """Pull the images of a tree from their registries, as they were pushed at this tag."""
    tree = images_of(settings, folder, args)
    with _build_progress.shown(settings) as on_event:
        pulled = tree.pull(*names, on_event=on_event)
    return _transferred(settings, pulled)


def _transferred(settings: Settings, images: list[TransferredImage]) -> int:
    if settings.json:
        _output.json_line({"images": [image.to_dict() for image in images]})
    else:
        _output.table(["image", "reference", "digest"], [[it.name, it.reference, it.digest or "-"] for it in images])
    return 0


@click.command("images prune", cls=TagCommand)
@click.argument("folder", required=False, metavar="[FOLDER]")
@click.option("--keep", type=click.IntRange(min=0), required=True, metavar="N",
              help="How many images of each repository stay: those that were last given a tag.")  # fmt: skip
@click.option("--registry", is_flag=True,
              help="Look at the registries of the tree in FOLDER, and not at this engine.")  # fmt: skip
@click.option("--yes", is_flag=True, help="With `--registry`: delete. Without it, only say what would be deleted.")
@click.option("--without-journal", is_flag=True,
              help="Remove images although there is no journal, which would protect those of releases.")  # fmt: skip
@_common.dry_run_option
@_common.options
@settings_of
def prune(
    settings: Settings, folder: str | None, keep: int, registry: bool, yes: bool, without_journal: bool, dry_run: bool
) -> int:
    """Remove old images that Haddock has built on this engine.

    These stay: the N of each repository that were last given a tag, those that containers were made of, those of the
    last N versions of each service, so that a rollback finds them, and those that others are built on. Nothing else is
    touched.

    The journal in the state directory knows the versions. If it is missing or cannot be read, nothing is removed, unless
    with `--without-journal`.

    With `--registry` the same rule is for the registries of a tree. A registry does not tell when a tag was given, so the
    N that were built last stay, and those at the tag of the tree. It deletes an image with all its tags.
    """
    if registry:
        return _prune_registry(settings, folder or ".", keep, dry_run or not yes, without_journal)
    for name, given in (("FOLDER", folder is not None), ("--yes", yes)):
        if given:
            raise Usage(f"`{name}` is only for `--registry`", "add `--registry`, or leave it out")
    import haddock

    also, warnings = _of_releases(settings, keep, without_journal or dry_run)
    memory = settings.state_directory() / "images"
    pruned = haddock.prune_images(keep, also=also, dry_run=dry_run, docker_host=settings.engine(), memory=memory)
    if settings.json:
        return _pruned_json(pruned, warnings, dry_run)
    gone = [image for image in pruned if image.stays is None]
    rows = [[image.id[:19], " ".join(image.tags) or "-", _progress.size(image.size)] for image in gone]
    total = f", at most {_progress.size(sum(image.size for image in gone))}"
    stay = [(" ".join(image.tags) or image.id[:19], image.stays) for image in pruned if image.stays is not None]
    _pruned(["image", "names", "size"], rows, stay, f"{_done(dry_run)} removed{total}", "removed")
    return 0


def _done(dry_run: bool) -> str:
    return "would be" if dry_run else "were"


def _pruned_json(pruned: Sequence[PrunedImage | PrunedFromRegistry], warnings: list[str], dry_run: bool) -> int:
    _output.json_line({"dry_run": dry_run, "warnings": warnings, "images": [image.to_dict() for image in pruned]})
    return 0


def _pruned(titles: list[str], rows: list[list[str]], stay: list[tuple[str, str]], done: str, verb: str) -> None:
    """Tells what is gone, and what stays and why."""
    if rows:
        _output.table(titles, rows)
        _output.line(f"{_words.many(len(rows), 'image')} {done}")
    elif not stay:
        _output.line(f"nothing is to be {verb}")
    for name, because in stay:
        _output.line(f"{name} stays: {because}")


def _prune_registry(settings: Settings, folder: str, keep: int, dry_run: bool, without_journal: bool) -> int:
    if not os.path.isdir(folder):
        raise Usage(f"`{folder}` is not a folder", "name the folder of the tree")
    also, warnings = _of_releases(settings, keep, without_journal or dry_run, by_name=True)
    pruned = images_of(settings, folder, {}).prune_registry(keep, also=also, dry_run=dry_run)
    if settings.json:
        return _pruned_json(pruned, warnings, dry_run)
    gone = [image for image in pruned if image.stays is None]
    rows = [
        [name, digest[:19], " ".join(image.tags), _progress.size(image.size)]
        for image in gone
        for name, _, digest in [image.reference.partition("@")]
    ]
    stay = [(image.reference, image.stays) for image in pruned if image.stays is not None]
    _pruned(["repository", "image", "tags", "size"], rows, stay, f"{_done(dry_run)} deleted", "deleted")
    if gone:
        _output.note("add `--yes` to delete them" if dry_run else "the registry frees the space with its garbage collection")
    # Some are gone and some could not be deleted: a program has to know.
    return 1 if stay else 0


def _of_releases(settings: Settings, keep: int, anyway: bool, by_name: bool = False) -> tuple[set[str], list[str]]:
    """The images of the last versions of each service, and warnings. No journal is made for this. Without one, that is an
    error, or a warning if it is to go on `anyway`."""
    import haddock

    if keep == 0:
        return set(), []
    journal = settings.state_directory() / "journal.db"
    try:
        journal.stat()
        with settings.look() as controller:
            return _of_services(controller, keep, by_name), []
    except FileNotFoundError:
        error: haddock.HaddockError = haddock.NotFoundError(f"there is no journal `{journal}`")
    except OSError as denied:
        error = haddock.JournalUnavailableError(f"the journal `{journal}` cannot be read: {denied.strerror}")
    except haddock.HaddockError as unreadable:
        error = unreadable
    if anyway:
        warning = f"{error.message}: no image of a release is protected, unless a container was made of it"
        _output.note(f"warning: {warning}")
        return set(), [warning]
    error.message = f"{error.message}, so it is not known which images releases need"
    named = "name the state directory of the releases: `--state DIRECTORY`"
    error.hint = f"{named}; or add `--without-journal`, if this engine runs no releases"
    raise error


def _of_services(controller: Controller, keep: int, by_name: bool) -> set[str]:
    found: set[str] = set()
    for status in map(controller.status, controller.services()):
        # One may go back to the known good version, also after many bad ones.
        for version in status.versions:
            if version in status.versions[-keep:] or version.version == status.known_good:
                digests = {digest for digest in (version.digests or {}).values() if digest.startswith("sha256:")}
            found |= digests
            # A registry may know an image by another digest than this engine. What has no digest is no image.
            if digests and by_name:
                found.update(version.images.values())
    return found
