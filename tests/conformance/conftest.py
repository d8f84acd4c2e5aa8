"""A server to ask, and the customers that a test makes on it.

Promises that every customer made here is archived at the end. Never touches one that it did not make.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from connector.sandbox import Sandbox

Json = dict[str, Any]
UP = [{"field": "created_at", "direction": "asc"}, {"field": "id", "direction": "asc"}]


class Api:
    """A server, spoken to in plain HTTP."""

    def __init__(self, base_url: str, key: str, environment: str | None) -> None:
        self.base_url = base_url.rstrip("/")
        headers = {"x-api-key": key} | ({"X-Environment-ID": environment} if environment else {})
        self.http = httpx.Client(headers=headers, timeout=60)
        self.prefix = f"conformance-{uuid.uuid4().hex[:10]}"
        self.made: list[str] = []

    def __call__(self, method: str, path: str, **rest: Any) -> httpx.Response:
        return self.http.request(method, self.base_url + path, **rest)

    def create(self, suffix: str, **fields: Any) -> Json:
        """A customer of our own; the creation must succeed."""
        answer = self.post(f"{self.prefix}-{suffix}", **fields)
        assert answer.status_code == 201, answer.text
        self.made.append(answer.json()["id"])
        return answer.json()

    def post(self, external_id: str, **fields: Any) -> httpx.Response:
        """POST /customers."""
        body = {"external_id": external_id, "name": "Conformance", "skip_onboarding_workflow": True, **fields}
        return self("POST", "/customers", json=body)

    def put(self, customer_id: str, **fields: Any) -> httpx.Response:
        """PUT /customers?id=."""
        return self("PUT", "/customers", params={"id": customer_id}, json=fields)

    def get(self, customer_id: str) -> Json:
        """The stored row."""
        return self("GET", f"/customers/{customer_id}").json()

    def archive(self, customer_id: str) -> int:
        """DELETE /customers/{id}."""
        return self("DELETE", f"/customers/{customer_id}").status_code

    def search(self, **body: Any) -> Json:
        """POST /customers/search; must succeed."""
        answer = self("POST", "/customers/search", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self, **body: Any) -> list[str]:
        """The ids of a search."""
        return [item["id"] for item in self.search(**body)["items"]]

    def live_subscriptions(self) -> list[Json]:
        """All active and trialing subscriptions, oldest first."""
        rows: list[Json] = []
        while True:
            statuses = ["active", "trialing"]
            page = self.subscriptions(subscription_status=statuses, limit=1000, offset=len(rows), sort=UP)
            rows += page
            if len(page) < 1000:
                return rows

    def subscriptions(self, **body: Any) -> list[Json]:
        """POST /subscriptions/search; must succeed."""
        answer = self("POST", "/subscriptions/search", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]


@pytest.fixture(scope="session", params=["sandbox", pytest.param("live", marks=pytest.mark.live)])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """The server under test."""
    if request.param == "sandbox":
        with Sandbox(customers=500, seed=11).running() as base_url:
            yield from cleaned(Api(base_url, "sandbox", None))
        return
    base_url, key = os.environ.get("FLEXPRICE_BASE_URL"), os.environ.get("FLEXPRICE_API_KEY")
    if not base_url or not key:
        pytest.skip("FLEXPRICE_BASE_URL and FLEXPRICE_API_KEY are not set")
    yield from cleaned(Api(base_url, key, os.environ.get("FLEXPRICE_ENVIRONMENT_ID")))


def cleaned(api: Api) -> Iterator[Api]:
    """Hand out the server; archive what was made."""
    try:
        yield api
    finally:
        for customer_id in api.made:
            api.archive(customer_id)
        api.http.close()


@pytest.fixture(scope="session")
def five(api: Api) -> list[Json]:
    """Five stored customers, oldest first."""
    return [api.get(api.create(f"five-{number}", metadata={"n": str(number)})["id"]) for number in range(5)]


@pytest.fixture(scope="session")
def archived(api: Api) -> Json:
    """One archived customer."""
    made = api.create("archived")
    assert api.archive(made["id"]) == 204
    return api.get(made["id"])
