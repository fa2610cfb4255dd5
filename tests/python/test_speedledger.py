"""The example with all real parts: PostgreSQL, ActiveMQ, Tomcat with HTTP sessions, and a proxy that wants a login."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli_docker
from cli_site import ROOT, Site

FILE = ROOT / "examples/speedledger/compose.yaml"
pytestmark = pytest.mark.docker


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A state directory on the engine, which has the example's images."""
    with cli_docker.place(tmp_path) as site:
        images_required(site)
        yield site


def images_required(site: Site) -> None:
    """Builds the images, as the README says. Skips the test where that cannot be; fails it where it has to be."""
    if os.geteuid() == 0 and shutil.which("debootstrap"):
        subprocess.run([ROOT / "examples/images/debian/make.sh"], check=True, capture_output=True)
        site.ok("build", str(ROOT / "examples/images"), "--tag", "latest", timeout=1200)
        return
    what = "the images of examples/images need root and debootstrap"
    if os.environ.get("HADDOCK_TEST_REQUIRE"):
        pytest.fail(f"{what}, and HADDOCK_TEST_REQUIRE is set")
    warnings.warn(f"SKIPPED: {what}", stacklevel=2)
    pytest.skip(what)


def copied(source: str, to: str) -> None:
    """Copies a file. The archive of the base is large, and nobody writes to it: a second name is enough."""
    if source.endswith("root.tar"):
        with contextlib.suppress(OSError):
            return os.link(source, to)
    shutil.copy2(source, to)


class Tree:
    """A copy of the example's tree, and what is built of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.root = site.directory / "images"
        shutil.copytree(ROOT / "examples/images", self.root, copy_function=copied)

    def build(self, tag: str, *words: str) -> dict[str, dict[str, str]]:
        told = json.loads(self.site.ok("build", str(self.root), "--tag", tag, *words, "--json", timeout=600))
        return {image["name"]: image for image in told["images"]}

    def plan(self) -> dict[str, tuple[str, str]]:
        return {name: (image["action"], image["because"]) for name, image in self.build("any", "--dry-run").items()}


def test_nothing_is_built_twice_and_a_changed_line_builds_what_stands_on_it(site: Site) -> None:
    told = site.ok("build", str(ROOT / "examples/images"), "--tag", "latest")
    assert told == "nothing has changed: 7 images at `latest`\n"
    tree, tag = Tree(site), f"t{os.getpid():x}"
    kept = dict.fromkeys(("debian", "java", "tomcat", "accounting", "login-proxy", "postgres", "activemq"), "keep")
    before = tree.build("latest")
    assert {name: image["action"] for name, image in before.items()} == kept, "another checkout of the same files"

    with (tree.root / "tomcat/Dockerfile").open("a") as dockerfile:
        dockerfile.write(f'LABEL changed="{tag}"\n')
    plan = tree.plan()
    changed = ("tomcat", "accounting", "login-proxy")
    assert {name: action for name, (action, _) in plan.items()} == kept | dict.fromkeys(changed, "build")
    assert [plan[name][1] for name in changed] == ["`tomcat/Dockerfile` has changed", *["`tomcat` has changed"] * 2]
    try:
        after = tree.build(tag)
        assert {name for name, image in after.items() if image["id"] != before[name]["id"]} == set(changed)
        assert {name: image["action"] for name, image in after.items()} == kept | dict.fromkeys(changed, "build")
        assert {action for action, _ in tree.plan().values()} == {"keep"}
    finally:
        # What is kept loses its new name, and what was built here all of its names.
        names = [f"speedledger/{name}:{tag}" for name in kept]
        words = ["docker", "images", "--quiet", "--no-trunc", "--filter", f"label=changed={tag}"]
        built = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        subprocess.run(["docker", "rmi", "--force", *names, *set(built)], check=False, capture_output=True)


class Clerk:
    """Somebody at a browser."""

    def __init__(self, address: str, login: str | None = "clerk:quick") -> None:
        self.address = address
        self.cookies: dict[str, str] = {}
        self.login = login

    def ask(self, path: str, form: str | None = None) -> str:
        request = urllib.request.Request(f"http://{self.address}/{path}", data=form.encode() if form is not None else None)
        if self.login is not None:
            request.add_header("Authorization", f"Basic {base64.b64encode(self.login.encode()).decode()}")
        if self.cookies:
            request.add_header("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        with urllib.request.urlopen(request, timeout=20) as answer:
            for given in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = given.partition(";")[0].partition("=")
                self.cookies[name] = value
            text = answer.read().decode()
            assert isinstance(text, str)
            return text.strip()


def proxy(site: Site, name: str) -> str:
    return site.ok("port", "--file", str(FILE), "--name", name, "proxy", "8080").strip()


def test_two_copies_side_by_side_never_see_each_others_data(site: Site) -> None:
    first, second = (f"spl-{os.getpid():x}-{copy}" for copy in ("a", "b"))
    for name in (first, second):
        site.ok("up", "--file", str(FILE), "--name", name, timeout=180)
    one, two = Clerk(proxy(site, first)), Clerk(proxy(site, second))

    for login in (None, "clerk:slow"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            Clerk(one.address, login).ask("entries.jsp")
        assert refused.value.code == 401
    assert one.ask("entries.jsp", "text=rent+950") == f'{{"environment":"{first}","entries":["rent 950"]}}'
    assert one.ask("entries.jsp") == f'{{"environment":"{first}","entries":["rent 950"]}}', "it is in the books"
    assert one.ask("basket.jsp", "item=ink") == '{"basket":["ink"]}'
    assert one.ask("basket.jsp", "item=paper") == '{"basket":["ink","paper"]}', "the basket is in the session"
    assert Clerk(one.address).ask("basket.jsp") == '{"basket":[]}', "and in nobody else's"

    assert two.ask("entries.jsp") == f'{{"environment":"{second}","entries":[]}}'
    assert two.ask("message.jsp", "") == '{"message":null}', "the first one's queue is its own"
    assert one.ask("message.jsp", "") == '{"message":"rent 950"}'
    assert one.ask("message.jsp", "") == '{"message":null}', "it was consumed"

    for name in (first, second):
        site.ok("down", "--name", name, "--volumes", timeout=120)
    left = [cli_docker.listed(site, *what) for what in (("ps", "--all"), ("network", "ls"), ("volume", "ls"))]
    assert left == [[], [], []]


def test_what_was_tried_out_goes_to_production_with_productions_books(site: Site) -> None:
    end = f"{os.getpid():x}"
    for tag in ("one", "two"):
        subprocess.run(["docker", "tag", "speedledger/accounting", f"speedledger/accounting:{tag}"], check=True)
    text = FILE.read_text().replace("name: speedledger", f"name: spl-{end}")
    release = "  release: { ramp: [50%, 100%], every: 2s, settle: 1s }\n"
    (site.directory / "compose.yaml").write_text(text + release)
    site.start("serve").says("gateway: clients at")
    site.ok("release", "--tag", "one", timeout=180)
    clerk = Clerk(f"127.0.0.1:{site.listen}")
    clerk.ask("entries.jsp", "text=production")
    clerk.ask("basket.jsp", "item=ink")

    copy = f"spl-{end}-pr-42"
    site.ok("up", "--name", copy, "--tag", "two", timeout=180)
    tester = Clerk(site.ok("port", "--name", copy, "proxy", "8080").strip())
    assert '"entries":["test"]' in tester.ask("entries.jsp", "text=test")
    site.ok("promote", copy, timeout=180)
    newcomer = Clerk(f"127.0.0.1:{site.listen}")
    seen = newcomer.ask("entries.jsp")
    assert seen == f'{{"environment":"spl-{end}","entries":["production"]}}', "only production's rows are visible"
    assert clerk.ask("basket.jsp") == '{"basket":["ink"]}', "whoever was there has kept the basket"
    assert '"entries":["test"]' in tester.ask("entries.jsp"), "the test's database is kept"
    site.ok("down", "--name", copy, "--volumes", timeout=120)
