"""The gateway's description of its admin API, as other programs read it: it is valid, and real answers are as it says."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import haddock
from cli_site import ROOT

DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs/reference/gateway-openapi.json").read_text())

NUMBER = {"epoch": 1, "revision": 7}
TABLE = {
    "service": "shop",
    "number": NUMBER,
    "session": {"idle": 60_000, "cookie": {"same_site": "lax"}, "failed": {"status": ["5xx"], "except": ["501"]}},
    "routes": {
        "shop-1": {"address": "127.0.0.1:9", "share": 10_000, "version": 3},
        "shop-2": {"address": "127.0.0.1:9", "share": 0, "adopted": {"until": 1, "cookie": "JSESSIONID"}},
    },
}

CALLS: list[tuple[str, str, Any, int]] = [
    ("GET", "/health", None, 200),
    ("GET", "/metrics", None, 200),
    ("GET", "/v1/openapi.json", None, 200),
    ("GET", "/v1/services", None, 200),
    ("POST", "/v1/services/{service}/apply", TABLE, 200),
    ("POST", "/v1/services/{service}/apply", {"service": "shop"}, 400),
    ("POST", "/v1/services/{service}/apply", {**TABLE, "number": {"epoch": 1, "revision": 6}}, 409),
    ("GET", "/v1/services", None, 200),
    ("GET", "/v1/services/{service}", None, 200),
    ("GET", "/v1/services/{service}/traffic?from=0&until=1", None, 200),
    ("GET", "/v1/services/{service}/traffic?from=0", None, 400),
    ("GET", "/v1/services/{service}/instances/{instance}/remaining", None, 200),
    ("GET", "/v1/services/{service}/ended?from=0", None, 200),
    ("GET", "/v1/services/{service}/ended", None, 400),
    ("POST", "/v1/services/{service}/ended", [{"key": "00000000000000ff", "ago": 1500}], 200),
    ("POST", "/v1/services/{service}/ended", [{"key": "ff", "ago": 1500}], 400),
    ("POST", "/v1/services/{service}/hold", {"instance": "shop-1", "within": 5000}, 200),
    ("POST", "/v1/services/{service}/hold", {"instance": "nobody", "within": 5000}, 404),
    ("POST", "/v1/services/{service}/resume", {"instance": "shop-1"}, 200),
    ("POST", "/v1/route", {"service": "nobody"}, 404),
    ("POST", "/v1/route", {"service": "shop", "paht": "/"}, 400),
    ("POST", "/v1/route", {"service": "shop", "path": "/cart", "cookie": "a=b", "https": True}, 200),
    ("POST", "/v1/report", {"route": "1.1"}, 404),
    ("GET", "/v1/certificates", None, 200),
    ("POST", "/v1/probe", None, 200),
    ("POST", "/v1/services/{service}/close", {"instance": "shop-1", "number": NUMBER}, 200),
    ("POST", "/v1/services/{service}/evict", {"instance": "shop-1", "number": NUMBER}, 200),
    ("POST", "/v1/services/{service}/close", {"instance": "shop-1", "number": NUMBER}, 200),
    ("GET", "/v1/services/{service}", None, 200),
]
"""Method, path, body, and the status that is expected. In this order, on a gateway with one service."""


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state: Path = tmp_path_factory.mktemp("gateway")
    with haddock.Gateway(listen="127.0.0.1:0", admin="127.0.0.1:0", state=state) as gateway:
        assert gateway.admin_address is not None
        yield gateway.admin_address


def call(admin: str, method: str, path: str, body: Any) -> tuple[int, str, bytes]:
    path = path.replace("{service}", "shop").replace("{instance}", "shop-1")
    with closing(http.client.HTTPConnection(admin, timeout=20)) as connection:
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()


def closed(value: Any) -> Any:
    """The same schemas, by which an object has no other fields than those that are described."""
    if isinstance(value, list):
        return [closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    fields = {key: closed(each) for key, each in value.items()}
    return {"additionalProperties": False, **fields} if isinstance(fields.get("properties"), dict) else fields


CLOSED = closed(DOCUMENT["components"]["schemas"])


def check(value: Any, schema: dict[str, Any] | bool) -> None:
    """That a value is as a schema of the document says, and has nothing more."""
    if isinstance(schema, bool):
        assert schema
        return
    Draft202012Validator({**schema, "components": {"schemas": CLOSED}}).validate(value)


def test_the_document_is_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_all_answers_are_as_described(admin: str) -> None:
    called = {("/v1/events", "get")}  # as below
    for method, path, body, expected in CALLS:
        status, kind, text = call(admin, method, path, body)
        assert status == expected, (method, path, text)
        template = path.split("?")[0]
        called.add((template, method.lower()))
        operation = DOCUMENT["paths"][template][method.lower()]
        if body is not None and status == 200:
            check(body, operation["requestBody"]["content"]["application/json"]["schema"])
        answers = operation["responses"].get(str(status), operation["responses"].get("default"))
        schema = answers["content"][kind]["schema"]
        if kind == "application/json":
            check(json.loads(text), schema)
        else:
            check(text.decode(), schema)
    described = {(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert called == described, "each route is called above"


def test_a_report_is_as_described(admin: str) -> None:
    """It needs the name of a route."""
    assert call(admin, "POST", "/v1/services/{service}/apply", {**TABLE, "number": {"epoch": 1, "revision": 8}, "routes": {
        "shop-3": {"address": "127.0.0.1:9", "share": 10_000}}})[0] == 200  # fmt: skip
    _, _, route = call(admin, "POST", "/v1/route", {"service": "shop"})
    for became in ("answered", "upgraded", "ended"):
        report = {"route": json.loads(route)["route"], "became": became, "status": 200, "first_byte": 7, "duration": 9}
        operation = DOCUMENT["paths"]["/v1/report"]["post"]
        check(report, operation["requestBody"]["content"]["application/json"]["schema"])
        status, _, text = call(admin, "POST", "/v1/report", report)
        assert status == 200, text
        check(json.loads(text), operation["responses"]["200"]["content"]["application/json"]["schema"])
    status, _, text = call(admin, "POST", "/v1/route", {"service": "shop", "instead_of": json.loads(route)["route"]})
    assert status == 404, text


def test_events_are_as_described(admin: str) -> None:
    """Each event has an id, a name, and data as the schema says."""
    schema = DOCUMENT["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
    with closing(http.client.HTTPConnection(admin, timeout=20)) as connection:
        connection.request("GET", "/v1/events?service=shop", headers={"Last-Event-ID": "of another life"})
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "text/event-stream"
        table = {**TABLE, "number": {"epoch": 1, "revision": 9}, "routes": {"shop-4": {"address": "127.0.0.1:9", "share": 1}}}
        assert call(admin, "POST", "/v1/services/{service}/apply", table)[0] == 200
        assert call(admin, "POST", "/v1/services/{service}/hold", {"instance": "shop-4", "within": 7})[0] == 200
        seen: list[str] = []
        while not seen or seen[-1] != "held" or "lost" not in seen:
            lines = [answer.readline().decode().rstrip("\n")]
            while lines[-1]:
                lines.append(answer.readline().decode().rstrip("\n"))
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":") and line)
            if "data" in fields:
                event = json.loads(fields["data"])
                Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(event)
                assert event["event"] == fields["event"] and "." in fields["id"]
                seen.append(event["event"])
    assert {"lost", "table_applied", "instance_added", "held"} <= set(seen)
    wrong = {"at": 1, "event": "held", "service": "shop", "instance": "shop-4"}
    with pytest.raises(Exception, match="Failed validating"):
        Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(wrong)


def test_another_answer_would_be_found(admin: str) -> None:
    """The schemas say something."""
    _, _, text = call(admin, "GET", "/v1/services/{service}", None)
    report = json.loads(text)
    schema = {"$ref": "#/components/schemas/LocatorReport"}
    check(report, schema)
    for wrong in [{**report, "newest": 7}, {**report, "instances": {"Shop 1": {}}}, {**report, "hosts": None}, {**report, "more": 1}]:
        with pytest.raises(Exception, match="Failed validating"):
            check(wrong, schema)
