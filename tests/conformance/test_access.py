"""Keys, routes, headers and error shapes: contract.md 1 and 2, fact by fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Api


def test_missing_or_bad_key_is_401(api: Api) -> None:
    """Without a valid key: 401 in the short shape."""
    for headers in ({}, {"x-api-key": "bad"}):
        answer = httpx.get(f"{api.base_url}/customers", headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


@pytest.mark.parametrize(
    ("value", "message"), [("Basic x", "Invalid authorization header format"), ("Bearer x", "Invalid token")]
)
def test_bearer_tokens_are_refused(api: Api, value: str, message: str) -> None:
    """What is not a session token is refused with its own message."""
    answer = httpx.get(f"{api.base_url}/customers", headers={"Authorization": value})
    assert (answer.status_code, answer.json()) == (401, {"error": message})


def test_missing_write_permission_is_403(api: Api, request: pytest.FixtureRequest) -> None:
    """A key that may not write is refused before its body is read; it may read."""
    if "live" in request.node.name:
        pytest.skip("needs a second key")
    reader = {"x-api-key": "reader"}
    answer = httpx.post(f"{api.base_url}/customers", headers=reader, content=b"{")
    assert (answer.status_code, answer.json()) == (403, {"message": "insufficient permissions"})
    assert httpx.get(f"{api.base_url}/customers", headers=reader).status_code == 200


def test_missing_environment_is_403(api: Api, request: pytest.FixtureRequest) -> None:
    """A key of the server's config file needs the environment header."""
    if "live" in request.node.name:
        pytest.skip("needs a key of the config file")
    answer = httpx.get(f"{api.base_url}/customers", headers={"x-api-key": "config"})
    body = {"error": "Access denied", "message": "Invalid or inaccessible environment"}
    assert (answer.status_code, answer.json()) == (403, body)


@pytest.mark.parametrize(("method", "path"), [("GET", "/nope"), ("PATCH", "/customers"), ("GET", "/customers/a/b/c/d")])
def test_unrouted_is_a_plain_text_404(api: Api, method: str, path: str) -> None:
    """No JSON and no 405 for what is not routed; no key is needed."""
    answer = httpx.request(method, api.base_url + path)
    assert (answer.status_code, answer.text) == (404, "404 page not found")
    assert answer.headers["content-type"] == "text/plain"


def test_slash_in_an_external_id_is_unrouted(api: Api) -> None:
    """A `/` in an external id cannot be put in a path, even percent-encoded; the search finds it."""
    made = api.create("with/slash here")
    assert api("GET", f"/customers/external/{made['external_id'].replace('/', '%2F')}").text == "404 page not found"
    assert api.ids(external_ids=[made["external_id"]]) == [made["id"]]


def test_space_in_an_external_id_is_routed(api: Api) -> None:
    """A percent-encoded space works in a path."""
    made = api.create("with space")
    answer = api("GET", f"/customers/external/{made['external_id'].replace(' ', '%20')}")
    assert answer.json()["id"] == made["id"]


@pytest.mark.parametrize(("method", "status"), [("GET", 301), ("POST", 307)])
def test_trailing_slash_redirects(api: Api, method: str, status: int) -> None:
    """A trailing slash is redirected to the path without it."""
    answer = api(method, "/customers/", content=b"{}" if method == "POST" else None)
    assert answer.status_code == status
    assert answer.headers["location"].endswith("/customers")
    assert "x-request-id" not in answer.headers


def test_unknown_id_is_a_flat_404(api: Api) -> None:
    """The standard error shape, exactly."""
    answer = api("GET", "/customers/cust_none")
    assert answer.status_code == 404
    assert answer.json() == {
        "code": "not_found",
        "message": "Customer with ID cust_none was not found",
        "http_status_code": 404,
        "details": {"customer_id": "cust_none"},
    }


@pytest.mark.parametrize("path", ["external", "lookup"])
def test_unknown_external_id_is_a_flat_404(api: Api, path: str) -> None:
    """By external id the message speaks of a lookup key."""
    answer = api("GET", f"/customers/{path}/{api.prefix}-none")
    assert answer.status_code == 404
    assert answer.json()["message"] == f"Customer with lookup key {api.prefix}-none was not found"


def test_static_segments_are_ids_where_not_routed(api: Api) -> None:
    """GET /customers/search is a look-up of the id `search`."""
    assert api("GET", "/customers/search").json()["message"] == "Customer with ID search was not found"


def test_every_answer_has_a_date(api: Api) -> None:
    """The server's clock is in every answer, errors included."""
    for path in ("/customers?limit=1", "/customers/cust_none", "/nope"):
        assert api("GET", path).headers["date"].endswith(" GMT")


def test_request_id_is_echoed(api: Api) -> None:
    """A caller's X-Request-ID comes back; without one the server makes one."""
    answer = api("GET", "/customers?limit=1", headers={"X-Request-ID": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert len(api("GET", "/customers?limit=1").headers["x-request-id"]) == 26


def test_json_is_utf8_whatever_the_request_says(api: Api) -> None:
    """The answer's type is fixed, and the request's is not looked at."""
    answer = api("POST", "/customers/search", content=b'{"limit":1}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_json_is_escaped_as_go_does(api: Api) -> None:
    """Angle brackets, ampersands and line separators are escaped, other letters are raw."""
    made = api.create("escaped", name="<Ü> & \u2028")
    text = api("GET", f"/customers/{made['id']}").text
    assert '"name":"\\u003cÜ\\u003e \\u0026 \\u2028"' in text
