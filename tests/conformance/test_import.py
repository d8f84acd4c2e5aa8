"""What the import relies on, asked of a server: bulk look-ups, changes of external_id, a whole plan, apply and undo.

The same runs against the sandbox and, with `-m live`, against a real server; every customer has this run's prefix and
is archived at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Api

from connector.push.apply.orders import Pace
from connector.push.plan.planfile import Plan
from connector.settings import load
from pipelines import import_customers as job

Json = dict[str, Any]


def test_many_are_looked_up_by_either_id(api: Api, five: list[Json], archived: Json) -> None:
    """external_ids and customer_ids find exactly the named ones of one status, unknown ones are simply not there."""
    keys = [customer["external_id"] for customer in five]
    ids = [customer["id"] for customer in five]
    unknown = [f"{api.prefix}-unknown-{number}" for number in range(900)]
    assert sorted(api.ids(external_ids=[*keys, *unknown], status="published", limit=1000)) == sorted(ids)
    assert sorted(api.ids(customer_ids=[*ids, *unknown], status="published", limit=1000)) == sorted(ids)
    assert api.ids(external_ids=[archived["external_id"]], status="published") == []
    assert api.ids(customer_ids=[archived["id"]], status="archived") == [archived["id"]]


def test_metadata_in_the_same_put_keeps_the_servers_id_list_away(api: Api) -> None:
    """A change of external_id that brings its metadata along stores that metadata and no old_external_ids (5.3)."""
    made = api.create("rename", metadata={"a": "b"})
    answer = api.put(made["id"], external_id=f"{made['external_id']}-2", metadata={"a": "b"})
    assert answer.status_code == 200, answer.text
    held = api.search(customer_ids=[made["id"]])["items"][0]
    assert (held["external_id"], held["metadata"]) == (f"{made['external_id']}-2", {"a": "b"})


def test_subscriptions_are_found_for_many_customers_at_once(api: Api, five: list[Json]) -> None:
    """A condition `customer_id in` answers with subscriptions of these customers and no others."""
    live = api.live_subscriptions()[:3]
    wanted = {row["customer_id"] for row in live} | {customer["id"] for customer in five}
    condition = {"field": "customer_id", "operator": "in", "data_type": "array", "value": {"array": sorted(wanted)}}
    rows = api.subscriptions(subscription_status=["active", "trialing"], filters=[condition], limit=1000)
    assert {row["id"] for row in rows} >= {row["id"] for row in live}
    assert {row["customer_id"] for row in rows} <= wanted


class Operator:
    """Plans and applies files against the server under test; what it creates is archived with the rest."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.api, self.folder = api, folder
        environment = api.http.headers.get("X-Environment-ID")
        key = api.http.headers["x-api-key"]
        self.given = {"base_url": api.base_url, "api_key": key, "environment_id": environment, "onboarding": "skip"}

    def settings(self, **more: Any) -> Any:
        return load(environ={}, **{**self.given, "max_share": 1.0, "max_key_changes": 100, **more})

    def plan(self, name: str, *lines: str, **more: Any) -> job.Planned:
        (self.folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return job.plan(self.settings(**more), self.folder / f"{name}.csv", self.folder / f"{name}.plan")

    def apply(self, name: str) -> job.Applied:
        path = self.folder / f"{name}.plan"
        counts = Plan.read(path).header.counts
        confirmed = job.Confirmed(True, counts["writes"], counts["archive"])
        done = job.apply(self.settings(), path, confirmed, pace=Pace(looks=(0.0, 0.2, 0.5, 1.0)))
        held = self.api.search(filters=[_named(self.api.prefix)], limit=1000)["items"]
        self.api.made += [customer["id"] for customer in held if customer["id"] not in self.api.made]
        return done


def _named(prefix: str) -> Json:
    return {"field": "external_id", "operator": "contains", "data_type": "string", "value": {"string": prefix}}


@pytest.fixture
def operator(api: Api, tmp_path: Path) -> Operator:
    return Operator(api, tmp_path)


def test_a_file_is_planned_applied_planned_again_and_undone(api: Api, operator: Operator) -> None:
    """Creates and updates arrive as planned, the second plan is empty, and the undo gives the account back."""
    old = api.create("import-old", name="Old", metadata={"keep": "1", "drop": "2"}, email="old@mail.example")
    one, two = f"{api.prefix}-import-1", f"{api.prefix}-import-2"
    lines = (
        "external_id,name,email,contact,address_line1,address_country,timezone,metadata.tier,metadata.drop",
        f'{one},"Ünï ""q"" <x>",one@mail.example,+15550100,"1, Main St",US,America/Chicago,gold,',
        f"{two},=1+1,,,,,,,",
        f"{old['external_id']},New name,,,,,,silver,\\N",
    )
    found = operator.plan("a", *lines)
    assert (found.counts.create, found.counts.update, found.counts.writes) == (2, 1, 3)
    done = operator.apply("a")
    assert done.tally.outcomes == {"done": 3}, list(done.plan.entries())
    made = api.search(external_ids=[one])["items"][0]
    assert (made["name"], made["contact"], made["metadata"]) == ('Ünï "q" <x>', "+15550100", {"tier": "gold"})
    assert (made["address_line1"], made["timezone"]) == ("1, Main St", "America/Chicago")
    assert api.search(external_ids=[two])["items"][0]["name"] == "=1+1"
    held = api.search(external_ids=[old["external_id"]])["items"][0]
    assert (held["name"], held["email"], held["metadata"]) == (
        "New name", "old@mail.example", {"keep": "1", "tier": "silver"},
    )  # fmt: skip
    again = operator.plan("b", *lines)
    assert (again.counts.unchanged, again.counts.writes) == (3, 0)
    back = job.undo_run(operator.settings(), done.plan.header.run, operator.folder / "undo.plan")
    assert (back.counts.update, back.counts.archive) == (1, 2)
    assert operator.apply("undo").exit_code == 0
    held = api.search(external_ids=[old["external_id"]])["items"][0]
    assert (held["name"], held["metadata"]) == ("Old", {"keep": "1", "drop": "2"})
    assert api.search(external_ids=[one, two])["items"] == []


def test_external_ids_change_by_id(api: Api, operator: Operator) -> None:
    """With --match id an external_id changes, beside null metadata too, and nothing else does."""
    plain = api.create("import-null")
    rich = api.create("import-rich", metadata={"a": "b"})
    assert api.get(plain["id"])["metadata"] is None
    lines = ("id,external_id", f"{plain['id']},{plain['external_id']}-x", f"{rich['id']},{rich['external_id']}-x")
    assert operator.plan("k", *lines, match="id").counts.key_changes == 2
    assert operator.apply("k").tally.outcomes == {"done": 2}
    items = api.search(customer_ids=[plain["id"], rich["id"]])["items"]
    held = {item["id"]: (item["external_id"], item["metadata"]) for item in items}
    assert held[plain["id"]] == (f"{plain['external_id']}-x", {})
    assert held[rich["id"]] == (f"{rich['external_id']}-x", {"a": "b"})


def test_values_at_the_borders_of_the_rules_are_taken(api: Api, operator: Operator) -> None:
    """What the reader lets through at each rule's border, the server takes, and reads back as it was sent."""
    key = f"{api.prefix}-import-border"
    values = {
        "name": "n" * 255,
        "contact": "1" * 20,
        "address_line1": "ü" * 127,
        "address_city": "ü" * 50,
        "address_postal_code": "p" * 20,
        "address_country": "XK",
        "timezone": "Asia/Kathmandu",
        "email": "ü.x+y@sub.exämple.org",
    }
    operator.plan("v", ",".join(["external_id", *values]), ",".join([key, *values.values()]))
    assert operator.apply("v").tally.outcomes == {"done": 1}
    held = api.search(external_ids=[key])["items"][0]
    assert {name: held[name] for name in values} == values
