"""Tags of what git has checked out: in Python, as a command, and for releases and environments."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest

import haddock
from cli_site import ROOT, clean_environment, run

CI = {"GITHUB_ACTIONS": "true", "GITHUB_REF_NAME": "feature/login"}
FILE = 'name: shop\nservices: { web: { image: "shop:${TAG}", expose: ["8080"] } }\nx-haddock: { entry: "web:8080" }\n'


class Repository:
    """A repository with a compose file, committed on the branch `main`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")
        self.write("compose.yaml", FILE)
        self.commit()

    def git(self, *words: str) -> str:
        who = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com", "GIT_COMMITTER_NAME": "t"}
        when = {"GIT_COMMITTER_EMAIL": "t@example.com", "GIT_COMMITTER_DATE": "1700000000 +0100"}
        env = clean_environment(**who, **when)
        done = subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True, text=True, env=env)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "more")

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in ("HADDOCK_BRANCH", "HADDOCK_TAG", "TAG", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "JENKINS_HOME", "CI"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "repository"
    folder.mkdir()
    return Repository(folder)


def test_the_revision(made: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    made.git("remote", "add", "origin", "https://ci:s3cret@host/shop.git")
    revision = haddock.revision(made.folder)
    assert revision == haddock.Revision(
        branch="main",
        commit=made.head,
        dirty=False,
        source="https://host/shop.git",
        committed=datetime.fromtimestamp(1_700_000_000, timezone.utc),
    )
    assert revision.tag() == f"main-{made.head[:7]}"
    assert revision.tag("ci-{commit}") == f"ci-{made.head}"
    assert json.loads(json.dumps(revision.to_dict()))["committed"] == "2023-11-14T22:13:20Z"
    with pytest.raises(haddock.InvalidValueError, match="names no commit"):
        revision.tag("{branch}")
    made.git("checkout", "--quiet", "--detach")
    for name, value in CI.items():
        monkeypatch.setenv(name, value)
    detached = haddock.revision(made.folder)
    assert detached is not None and detached.branch == "feature/login"


def test_no_repository(tmp_path: Path) -> None:
    assert haddock.revision(tmp_path) is None
    with pytest.raises(haddock.NotFoundError, match="no folder"):
        haddock.revision(tmp_path / "nowhere")
    shown = run("tag", str(tmp_path))
    assert (shown.returncode, shown.stdout) == (3, "")
    assert "in no git repository" in shown.stderr and "hint:" in shown.stderr
    told = json.loads(run("tag", "--json", cwd=tmp_path).stdout)
    assert (told["error"]["kind"], told["exit_code"]) == ("not_found", 3)


def test_the_command(made: Repository) -> None:
    short = made.head[:7]
    assert run("tag", cwd=made.folder).stdout == f"main-{short}\n"
    assert run("tag", str(made.folder), "--template", "x.{hash}").stdout == f"x.{short}\n"
    made.write("compose.yaml", f"{FILE}# changed\n")
    told = {"tag": f"main-{short}-dirty", "branch": "main", "commit": made.head, "dirty": True}
    assert json.loads(run("tag", "--json", cwd=made.folder).stdout) == told
    bad = run("tag", "--template", "{branch}", cwd=made.folder)
    assert (bad.returncode, bad.stdout) == (3, "") and "{hash}" in bad.stderr
    made.git("checkout", "--quiet", "--detach")
    assert run("tag", cwd=made.folder, env=clean_environment(**CI)).stdout == f"feature-login-{short}-dirty\n"


def image(*words: str, cwd: Path, **variables: str) -> str:
    shown = run(*words, "config", "--release", "--json", cwd=cwd, env=clean_environment(**variables))
    assert shown.returncode == 0, shown.stderr
    [component] = json.loads(shown.stdout)["components"]
    return str(component["image"]).rpartition(":")[2]


def test_auto_is_the_tag_of_the_file_s_folder(made: Repository, tmp_path: Path) -> None:
    wanted = f"main-{made.head[:7]}"
    assert image("--tag", "auto", cwd=made.folder) == wanted
    assert image(cwd=made.folder, HADDOCK_TAG="auto") == wanted
    file = str(made.folder / "compose.yaml")
    assert image("--tag", "auto", "--file", file, cwd=tmp_path) == wanted
    made.commit()
    assert image("--tag", "auto", cwd=made.folder) == f"main-{made.head[:7]}" != wanted
    (tmp_path / "compose.yaml").write_text(FILE)
    elsewhere = run("--tag", "auto", "config", cwd=tmp_path)
    assert elsewhere.returncode == 3 and "in no git repository" in elsewhere.stderr


def release(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = clean_environment(**variables)
    return run("--state", str(folder / "state"), "release", "--dry-run", *words, cwd=folder, env=env)


def noted(shown: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall("the tag is `([^`]*)`", shown.stderr)


def test_a_release_takes_the_tag_of_git_if_only_that_is_missing(made: Repository) -> None:
    wanted = f"main-{made.head[:7]}"
    assert noted(release(made.folder)) == [wanted]
    assert "needs `TAG`" not in release(made.folder).stderr
    assert noted(release(made.folder, "--tag", "v1")) == []
    assert noted(release(made.folder, "--image", "web=shop:v1")) == []
    assert noted(release(made.folder, TAG="v1")) == []
    made.write(".env", "TAG=v1\n")
    assert noted(release(made.folder)) == [], "`.env` names it"
    made.write(".env", "")
    made.write("compose.yaml", FILE.replace("${TAG}", "${TAG:-v1}"))
    assert noted(release(made.folder)) == [], "the file has a default"
    made.write("compose.yaml", f"{FILE}# changed\n")
    shown = release(made.folder)
    assert noted(shown) == [f"{wanted}-dirty"] and "since files differ" in shown.stderr
    made.write("compose.yaml", FILE.replace("shop:$", "${IMAGE}:$"))
    wrong = release(made.folder)
    assert wrong.returncode == 3 and "`IMAGE`" in wrong.stderr and noted(wrong) == []


def test_an_environment_takes_the_tag_of_git_too(made: Repository) -> None:
    # Nothing answers there, but the tag is known before.
    nowhere = ("--docker-host", "tcp://127.0.0.1:9", "--state", str(made.folder / "state"))
    assert noted(run(*nowhere, "up", cwd=made.folder)) == [f"main-{made.head[:7]}"]
    assert noted(run(*nowhere, "up", "--tag", "v1", cwd=made.folder)) == []
    assert noted(run(*nowhere, "up", "--like", "shop", cwd=made.folder)) == [], "no file is read"


def test_without_a_repository_the_missing_tag_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(FILE)
    for command in ("release", "up"):
        shown = run("--state", str(tmp_path / "state"), command, "--dry-run", cwd=tmp_path)
        assert shown.returncode == 3 and "needs `TAG`" in shown.stderr
        assert "in no git repository" in shown.stderr, "the hint"
    part = run("--docker-host", "tcp://127.0.0.1:9", "--state", str(tmp_path / "state"), "up", "--only", "db", cwd=tmp_path)
    assert "TAG" not in part.stderr, "what it brings up may not need one"


def test_nothing_in_the_package_runs_git() -> None:
    sources = [*(ROOT / "haddock-py/python").rglob("*.py"), *(ROOT / "haddock-core/src").rglob("*.rs")]
    assert len(sources) > 100
    runs = re.compile(r"""(subprocess\.\w+\(\s*\[|Command::new\(|Popen\(\s*\[|exec[lv]p?e?\()\s*f?["']git["']""")
    assert runs.search('subprocess.run(["git", "status"])') and runs.search('Command::new("git")')
    assert [str(path) for path in sources if runs.search(path.read_text())] == []
