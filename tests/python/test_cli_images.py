"""Image trees, as the command sees them: what is built, why, and what is wrong."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import subprocess
import tarfile
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import cli_docker
import own_registry
from cli_site import Site, clean_environment, run, site_in


class Tree:
    """A tree whose images have names of their own, and the command for it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.root = site.directory / "images"
        self.prefix = f"haddock-test-{uuid.uuid4().hex[:8]}"
        self.write("haddock-images.yaml", f"prefix: {self.prefix}\n")
        self.write("base/Dockerfile", "FROM scratch\nCOPY file /\n")
        self.write("base/file", "base\n")
        self.write("java/Dockerfile", f"FROM {self.prefix}/base\nCOPY file /java\n")
        self.write("java/file", "java\n")
        self.write("app/Dockerfile", "FROM java\nCOPY . /app\n")
        self.write("app/page", "hello\n")
        self.write("other/Dockerfile", "FROM base\nCOPY --from=java /java /copied\n")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def json(self, *words: str) -> Any:
        return json.loads(self.site.ok(*words, "--json"))

    def plan(self, *words: str) -> dict[str, tuple[str, str]]:
        images = self.json("build", str(self.root), *words, "--dry-run")["images"]
        return {image["name"]: (image["action"], image["because"]) for image in images}

    def actions(self, *words: str) -> dict[str, str]:
        return {name: action for name, (action, _) in self.plan(*words).items()}

    def build(self, *words: str) -> dict[str, Any]:
        return {image["name"]: image for image in self.json("build", str(self.root), *words)["images"]}

    def states(self, *words: str) -> dict[str, str]:
        return {image["name"]: image["state"] for image in self.json("images", str(self.root), *words)["images"]}

    def clean(self) -> None:
        # By their names: another test may have the same image under a name of its own.
        told = subprocess.run(
            ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={self.prefix}/*"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        if names := told.stdout.split():
            subprocess.run(["docker", "rmi", *names], check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    cli_docker.required()
    with site_in(tmp_path) as site:
        tree = Tree(site)
        try:
            yield tree
        finally:
            tree.clean()


@pytest.mark.docker
def test_only_what_has_changed_is_built_and_the_plan_says_why(tree: Tree) -> None:
    assert tree.states() == dict.fromkeys(("base", "java", "app", "other"), "missing")
    built = tree.build("--tag", "v1")
    assert {name: image["action"] for name, image in built.items()} == dict.fromkeys(built, "build")
    assert built["app"]["reference"] == f"{tree.prefix}/app:v1"
    assert tree.states() == dict.fromkeys(built, "there")
    assert set(tree.actions().values()) == {"keep"}, "another tag is no change"

    tree.write("java/file", "java 2\n")
    plan = tree.plan()
    assert {name: action for name, (action, _) in plan.items()} == {
        "base": "keep", "java": "build", "app": "build", "other": "build"
    }  # fmt: skip
    assert "`java/file` has changed" in plan["java"][1] and "`java`" in plan["app"][1] and "`java`" in plan["other"][1]
    assert tree.states()["java"] == "changed"
    before = {name: image["id"] for name, image in built.items()}
    after = {name: image["id"] for name, image in tree.build("--tag", "v2").items()}
    assert after["base"] == before["base"] and all(after[name] != before[name] for name in ("java", "app", "other"))
    assert subprocess.run(
        ["docker", "run", "--rm", f"{tree.prefix}/app:v2", "/nothing"], capture_output=True, check=False
    ).returncode == 127, "the image is there, and has no program"


@pytest.mark.docker
def test_what_does_not_get_into_an_image_is_no_change(tree: Tree) -> None:
    tree.build()
    for path in tree.root.rglob("*"):
        os.utime(path, (1, 1))
        if os.geteuid() == 0:
            os.chown(path, 1234, 1234)
    tree.write("app/.dockerignore", "*.log\n")
    tree.build()
    tree.write("app/noise.log", "noise\n")
    assert set(tree.actions().values()) == {"keep"}
    moved = tree.root.with_name("moved")
    tree.root.rename(moved)
    tree.root = moved
    assert set(tree.actions().values()) == {"keep"}, "another checkout of the same files"
    (tree.root / "app/page").chmod(0o755)
    assert tree.actions()["app"] == "build", "a program is not the same as a page"


def files_of(image: str) -> set[str]:
    """The files in an image."""
    made = subprocess.run(["docker", "create", image, "/nothing"], capture_output=True, text=True, check=True).stdout.strip()
    try:
        packed = subprocess.run(["docker", "export", made], capture_output=True, check=True).stdout
    finally:
        subprocess.run(["docker", "rm", made], check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {member.name for member in archive if member.isfile()}


@pytest.mark.docker
def test_what_is_left_out_is_not_in_the_image_also_if_the_builder_needs_it(tree: Tree) -> None:
    tree.write("app/.dockerignore", "Dockerfile\n.dockerignore\n*.log\n")
    tree.write("app/noise.log", "noise\n")
    tree.build("app", "--tag", "v1")
    assert {name for name in files_of(f"{tree.prefix}/app:v1") if name.startswith("app/")} == {"app/page"}


@pytest.mark.docker
def test_named_images_are_built_with_what_they_need(tree: Tree) -> None:
    assert list(tree.build("app")) == ["base", "java", "app"]
    assert tree.states()["other"] == "missing"


@pytest.mark.docker
def test_two_checkouts_that_are_both_the_present_folder_do_not_know_of_each_other(tree: Tree) -> None:
    other = tree.root.with_name("other")
    shutil.copytree(tree.root, other)
    (other / "app/page").write_text("another checkout\n")
    tree.site.directory = tree.root
    tree.site.ok("build", ".")
    tree.site.directory = other
    plan = json.loads(tree.site.ok("build", ".", "--dry-run", "--json"))["images"]
    assert [image["because"] for image in plan if image["name"] == "app"] == ["it has not been built here before"]


@pytest.mark.docker
def test_what_has_not_changed_is_left_alone(tree: Tree) -> None:
    tree.build("--tag", "v1")
    tree.write("app/page", "hello 2\n")
    tree.build("--tag", "v2", "--changed")
    told = subprocess.run(
        ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={tree.prefix}/*:v2"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split() == [f"{tree.prefix}/app:v2"]


@pytest.mark.docker
def test_a_step_that_fails_is_told_and_what_was_finished_is_kept(tree: Tree) -> None:
    tree.write("app/Dockerfile", "FROM java\nCOPY missing /\n")
    failed = tree.site.run("build", str(tree.root), "app")
    assert failed.returncode == 1
    assert "image `app`" in failed.stderr and "missing" in failed.stderr, failed.stderr
    assert tree.states()["java"] == "there", "what was finished before is kept"


@pytest.mark.docker
def test_labels_say_what_an_image_was_made_of(tree: Tree) -> None:
    git = ["git", "-C", str(tree.root), "-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "--quiet", "--initial-branch=feature/Login Page".replace(" ", "-")], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    built = tree.build()
    assert built["app"]["reference"] == f"{tree.prefix}/app:feature-login-page-{commit[:7]}"
    told = subprocess.run(["docker", "inspect", built["app"]["id"]], capture_output=True, text=True, check=True).stdout
    labels = json.loads(told)[0]["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.base.name"] == built["java"]["reference"]
    assert labels["org.opencontainers.image.version"] == f"feature-login-page-{commit[:7]}"
    subprocess.run([*git, "checkout", "--quiet", "--detach"], check=True)
    tree.site.env["HADDOCK_BRANCH"] = "release/1"
    assert tree.build()["app"]["reference"].endswith(f"/app:release-1-{commit[:7]}"), "CI names the branch"
    tree.write("app/page", "changed\n")
    dirty = tree.build()
    assert dirty["app"]["reference"].endswith("-dirty")
    refused = tree.site.run("build", str(tree.root), "--push")
    assert refused.returncode == 3 and "--allow-dirty" in refused.stderr


@pytest.mark.docker
def test_prune_keeps_what_is_needed(tree: Tree) -> None:
    for number in range(3):
        tree.write("app/page", f"page {number}\n")
        tree.build("--tag", f"v{number}")
    made = subprocess.run(
        ["docker", "create", f"{tree.prefix}/app:v0", "/nothing"], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        would = tree.json("images", "prune", "--keep", "1", "--dry-run")["images"]
        ours = [tag for image in would for tag in image["tags"] if tag.startswith(tree.prefix) and ":v" in tag]
        assert ours == [f"{tree.prefix}/app:v1"], "the newest stays, that of a container, and what others stand on"
    finally:
        subprocess.run(["docker", "rm", made], check=True, capture_output=True)


def exists(image: str) -> bool:
    return subprocess.run(["docker", "inspect", image], capture_output=True, check=False).returncode == 0


@pytest.mark.docker
def test_prune_removes_images_that_lost_their_names_and_none_that_others_built_on_them(tree: Tree) -> None:
    before = {name: image["id"] for name, image in tree.build("--tag", "v1").items()}
    # As others build on ours: it has our labels, and no name.
    theirs = subprocess.run(
        ["docker", "build", "--quiet", "-"], input=f"FROM {tree.prefix}/app:v1\nLABEL theirs=yes\n",
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    try:
        after = {image["id"] for image in tree.build("--tag", "v1", "--no-cache").values()}
        needed = before.pop("app")
        words = ("images", "prune", "--keep", "1000", "--without-journal")
        told = {image["id"]: image for image in tree.json(*words)["images"]}
        assert told.keys() == set(before.values()) and not after & told.keys(), told
        assert all(image["stays"] is None and not image["tags"] for image in told.values())
        assert not any(map(exists, told)) and all(map(exists, after)) and exists(theirs) and exists(needed)
        assert tree.json(*words)["images"] == []
    finally:
        subprocess.run(["docker", "rmi", theirs], check=True, capture_output=True)


@pytest.mark.docker
def test_prune_removes_nothing_without_a_journal_unless_it_is_told_to(tmp_path: Path) -> None:
    cli_docker.required()
    with site_in(tmp_path) as site:
        shutil.rmtree(site.state, ignore_errors=True)
        words = ("images", "prune", "--keep", "1000")
        refused = site.run(*words)
        assert refused.returncode == 3 and "there is no journal" in refused.stderr, refused.stderr
        assert "--state" in refused.stderr and "--without-journal" in refused.stderr
        told = json.loads(site.ok(*words, "--dry-run", "--json"))
        assert "there is no journal" in told["warnings"][0]
        assert "no image of a release is protected" in site.run(*words, "--without-journal").stderr
        assert not (site.state / "journal.db").exists(), "none is made"
        site.state.mkdir(exist_ok=True)
        (site.state / "journal.db").write_text("no journal\n" * 100)
        refused = site.run(*words)
        assert refused.returncode == 4 and "--without-journal" in refused.stderr, refused.stderr
        assert json.loads(site.ok(*words, "--without-journal", "--json"))["warnings"]
        assert site.run("images", "prune", "--keep", "-1").returncode == 2


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry of the test's own, on a loopback port."""
    address, process = own_registry.start(tmp_path)
    try:
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.mark.docker
def test_another_machine_builds_nothing_that_the_registry_has(tree: Tree, registry: str) -> None:
    tree.write("haddock-images.yaml", f"prefix: {registry}/{tree.prefix}\n")
    tree.write("java/Dockerfile", "FROM base\nCOPY file /java\n")
    built = tree.build("--tag", "v1", "--push")
    assert all(image["digest"].startswith("sha256:") for image in built.values())
    tree.prefix = f"{registry}/{tree.prefix}"
    tree.clean()
    tree.site.env["HADDOCK_STATE"] = str(tree.site.directory / "elsewhere")
    assert set(tree.actions("--tag", "v2").values()) == {"pull"}
    again = tree.build("--tag", "v2")
    assert {name: image["id"] for name, image in again.items()} == {name: image["id"] for name, image in built.items()}
    tree.clean()
    pulled = tree.json("pull", str(tree.root), "app", "--tag", "v1")["images"]
    assert [(image["name"], image["digest"]) for image in pulled] == [("app", built["app"]["digest"])]
    missing = tree.site.run("pull", str(tree.root), "app", "--tag", "v0")
    assert missing.returncode == 1 and f"{tree.prefix}/app:v0" in missing.stderr
    missing = tree.site.run("push", str(tree.root), "app", "--tag", "v0")
    assert missing.returncode == 1 and "haddock build" in missing.stderr


def tags_of(registry: str, repository: str) -> set[str]:
    with urllib.request.urlopen(f"http://{registry}/v2/{repository}/tags/list", timeout=30) as answer:
        return {tag for tag in json.load(answer)["tags"] or [] if not tag.startswith("inputs-")}


@pytest.mark.docker
def test_old_images_of_a_registry_are_deleted_only_if_it_is_told(tree: Tree, registry: str) -> None:
    repository = f"{tree.prefix}/app"
    tree.write("haddock-images.yaml", f"prefix: {registry}/{tree.prefix}\n")
    tree.write("java/Dockerfile", "FROM base\nCOPY file /java\n")
    tree.prefix = f"{registry}/{tree.prefix}"
    for number in range(3):
        tree.write("app/page", f"page {number}\n")
        tree.build("--tag", f"v{number}", "--push")
    subprocess.run(["docker", "tag", f"{tree.prefix}/base:v0", f"{tree.prefix}/app:theirs"], check=True)
    subprocess.run(["docker", "push", "--quiet", f"{tree.prefix}/app:theirs"], check=True, capture_output=True)
    made = subprocess.run(
        ["docker", "create", f"{tree.prefix}/app:v0", "/nothing"], capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip
    try:
        words = ("images", "prune", str(tree.root), "--registry", "--keep", "1", "--tag", "v9")
        would = tree.json(*words)
        assert would["dry_run"] and "no journal" in would["warnings"][0]
        assert [image["reference"].split("@")[0] for image in would["images"]] == [f"{tree.prefix}/app"]
        assert "v1" in would["images"][0]["tags"] and would["images"][0]["stays"] is None
        assert tags_of(registry, repository) == {"v0", "v1", "v2", "theirs"}
        refused = tree.site.run(*words, "--yes")
        assert refused.returncode == 3 and "--without-journal" in refused.stderr
        told = tree.site.run(*words, "--yes", "--without-journal")
        assert told.returncode == 0 and "1 image were deleted" in told.stdout, told.stdout
        assert tags_of(registry, repository) == {"v0", "v2", "theirs"}
        assert tags_of(registry, repository.replace("/app", "/java")) == {"v0", "v1", "v2"}, "others stand on it"

        import haddock

        images = haddock.Images(tree.root, tag="v9")
        also = [f"{tree.prefix}/app:v0", f"{tree.prefix}/app:v2"]
        pruned = images.prune_registry(0, also=also)
        assert {tag for image in pruned for tag in image.tags if tag.startswith("v")} == {"v0", "v1", "v2"}
        assert all("/other@" in image.reference and image.created for image in pruned), "only `other` is not needed"
        assert asyncio.run(images.prune_registry_async(1)) == []
    finally:
        subprocess.run(["docker", "rm", made], check=True, capture_output=True)
    assert tree.site.run("images", "prune", str(tree.root), "--keep", "1").returncode == 2
    assert tree.site.run("images", "prune", "--keep", "1", "--yes").returncode == 2


@pytest.mark.docker
def test_from_python_with_events(tree: Tree) -> None:
    import haddock

    events: list[haddock.BuildEvent] = []
    images = haddock.Images(tree.root, tag="p1")
    assert [image.name for image in images.list()] == ["base", "java", "app", "other"]
    built = images.build("app", on_event=events.append)
    assert [image.action for image in built] == ["build"] * 3
    kinds = [(event.image, event.kind) for event in events]
    assert ("app", "building") in kinds and ("app", "built") in kinds
    assert kinds.index(("java", "built")) < kinds.index(("app", "building"))


def broken(tmp_path: Path, files: dict[str, str], *words: str) -> str:
    """What `haddock images` says of these files, which are wrong. It needs no engine for that."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    environment = clean_environment(HADDOCK_DOCKER_HOST=f"unix://{tmp_path}/no.sock", HADDOCK_STATE=str(tmp_path / "state"))
    done = run("images", ".", *words, cwd=tmp_path, env=environment)
    assert done.returncode == 3, done.stdout + done.stderr
    return done.stderr


def test_wrong_trees_are_told_with_file_and_line(tmp_path: Path) -> None:
    said = broken(tmp_path / "cycle", {"a/Dockerfile": "# first\nFROM b\n", "b/Dockerfile": "FROM a\n"})
    assert "a/Dockerfile:2" in said and "b/Dockerfile:1" in said
    said = broken(tmp_path / "empty", {"readme": "nothing\n"})
    assert "Dockerfile" in said
    said = broken(tmp_path / "word", {"a/Dockerfile": "FROM scratch\nCOPPY a b\n"})
    assert "a/Dockerfile:2" in said
    said = broken(tmp_path / "key", {"a/Dockerfile": "FROM scratch\n", "haddock-images.yaml": "prefx: shop\n"})
    assert "haddock-images.yaml:1" in said and "prefix" in said
    said = broken(tmp_path / "tag", {"a/Dockerfile": "FROM scratch\n"}, "--tag", "not/a/tag")
    assert "not/a/tag" in said


def test_a_picture_has_each_image_and_each_arrow(tmp_path: Path) -> None:
    for path, text in (
        ("base/Dockerfile", "FROM debian:12\n"),
        ("java/Dockerfile", "FROM base\n"),
        ("app/Dockerfile", "FROM java\nCOPY --from=base /a /b\n"),
    ):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(text)
    environment = clean_environment(HADDOCK_DOCKER_HOST=f"unix://{tmp_path}/no.sock", HADDOCK_STATE=str(tmp_path / "state"))
    drawn = run("images", ".", "--svg", "--tag", "v1", cwd=tmp_path, env=environment)
    assert drawn.returncode == 0, drawn.stderr
    svg = ElementTree.fromstring(drawn.stdout)
    space = "{http://www.w3.org/2000/svg}"
    assert svg.tag == f"{space}svg" and svg.get("role") == "img"
    title = svg.find(f"{space}title")
    assert title is not None and title.get("id") == svg.get("aria-labelledby") and "`v1`" in (title.text or "")
    images = {group.get("data-name"): group for group in svg.iter(f"{space}g")}
    assert list(images) == ["base", "java", "app"]
    words = {name: [text.text for text in group.iter(f"{space}text")] for name, group in images.items()}
    assert words["app"] == ["app", "unknown"] and len(words["base"]) == 3
    arrows = [(path.get("data-from"), path.get("data-to")) for path in svg.iter(f"{space}path") if path.get("data-from")]
    assert sorted(arrows) == [("base", "app"), ("base", "java"), ("java", "app")]
    assert "href" not in drawn.stdout and "@import" not in drawn.stdout
    assert run("images", ".", "--svg", "--json", cwd=tmp_path, env=environment).returncode == 2


def test_without_an_engine_the_tree_is_shown_and_nothing_is_built(tmp_path: Path) -> None:
    for name in ("base", "app"):
        (tmp_path / name).mkdir()
    (tmp_path / "base/Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "app/Dockerfile").write_text("FROM base\n")
    environment = clean_environment(HADDOCK_DOCKER_HOST=f"unix://{tmp_path}/no.sock", HADDOCK_STATE=str(tmp_path / "state"))
    shown = run("images", ".", "--json", cwd=tmp_path, env=environment)
    assert [(it["name"], it["depends_on"], it["state"]) for it in json.loads(shown.stdout)["images"]] == [
        ("base", [], "unknown"), ("app", ["base"], "unknown"),
    ]  # fmt: skip
    assert run("build", ".", cwd=tmp_path, env=environment).returncode == 4
    said = run("build", "ap", cwd=tmp_path, env=environment)
    assert said.returncode == 2 and "haddock build . ap" in said.stderr
