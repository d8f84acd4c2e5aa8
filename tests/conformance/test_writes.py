"""Create, update, archive: contract.md 5 and 2.4, fact by fact."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from connector.api.fields import FIELDS

if TYPE_CHECKING:
    from conftest import Api

Json = dict[str, Any]


def nanos(text: str) -> int:
    """A timestamp of up to nine digits, in nanoseconds within its day."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(fraction.ljust(9, "0"))


def test_created_timestamps_are_stored_rounded(api: Api) -> None:
    """POST echoes up to nine digits; the stored value is that, to the nearest microsecond."""
    made = api.create("rounded")
    stored = api.get(made["id"])
    assert nanos(stored["created_at"]) == (nanos(made["created_at"]) + 500) // 1000 * 1000
    assert made["created_at"] == made["updated_at"]


def test_create_is_searchable_at_once(api: Api) -> None:
    """A created customer is in the next search."""
    made = api.create("at-once")
    assert api.ids(customer_ids=[made["id"]]) == [made["id"]]


def test_least_create_has_the_defaults(api: Api) -> None:
    """Absent fields are empty strings, UTC, null metadata and no contact."""
    stored = api.get(api.create("least")["id"])
    assert "contact" not in stored
    assert (stored["email"], stored["timezone"], stored["metadata"]) == ("", "UTC", None)


def test_put_answers_the_old_updated_at(api: Api) -> None:
    """PUT's `updated_at` is the one before; a re-read has the real one."""
    before = api.get(api.create("stale")["id"])
    answer = api.put(before["id"], name="Renamed").json()
    after = api.get(before["id"])
    assert answer["name"] == after["name"] == "Renamed"
    assert answer["updated_at"] == before["updated_at"] < after["updated_at"]


def test_empty_put_bumps(api: Api) -> None:
    """`{}` changes nothing and moves `updated_at`."""
    before = api.get(api.create("empty")["id"])
    assert api.put(before["id"]).status_code == 200
    after = api.get(before["id"])
    assert after["updated_at"] > before["updated_at"]
    assert {**after, "updated_at": 0, "updated_by": 0} == {**before, "updated_at": 0, "updated_by": 0}


def test_metadata_replaces(api: Api) -> None:
    """`metadata` is replaced whole; null leaves it alone; {} empties it."""
    made = api.create("metadata", metadata={"a": "1", "b": "2"})["id"]
    assert api.put(made, metadata={"c": "3"}).json()["metadata"] == {"c": "3"}
    assert api.put(made, metadata=None).json()["metadata"] == {"c": "3"}
    assert api.put(made, metadata={}).json()["metadata"] == {}


def test_metadata_values_must_be_strings(api: Api) -> None:
    """A number in metadata is a 400 about the format."""
    answer = api.post(f"{api.prefix}-numbers", metadata={"a": 1})
    assert (answer.status_code, answer.json()["message"]) == (400, "Invalid request format")


def test_null_metadata_value_is_stored_empty(api: Api) -> None:
    """A null value in metadata becomes an empty string."""
    assert api.create("null-value", metadata={"a": None})["metadata"] == {"a": ""}


def test_external_id_is_unique_among_published_only(api: Api) -> None:
    """A taken external id is a 409; once its holder is archived it makes a new customer with a new id."""
    first = api.create("twice")
    refused = api.post(first["external_id"])
    assert refused.status_code == 409
    assert refused.json() == {
        "code": "already_exists",
        "message": "A customer with this identifier already exists",
        "http_status_code": 409,
        "details": {"external_id": first["external_id"]},
    }
    assert api.archive(first["id"]) == 204
    second = api.create("twice")
    assert second["id"] != first["id"]
    assert api("GET", f"/customers/external/{first['external_id']}").json()["id"] == second["id"]


def test_external_id_of_another_is_refused_on_update(api: Api) -> None:
    """PUT with a taken external id is a 409 that also names the e-mail."""
    holder, other = api.create("holder"), api.create("other", email="a@example.com", metadata={})
    answer = api.put(other["id"], external_id=holder["external_id"])
    assert answer.status_code == 409
    assert answer.json()["details"] == {"email": "a@example.com", "external_id": holder["external_id"]}


def test_external_id_change_panics_on_null_metadata(api: Api) -> None:
    """With null metadata a change of external id is an empty 500, and nothing changes."""
    made = api.get(api.create("panic")["id"])
    answer = api.put(made["id"], external_id=made["external_id"] + "b")
    assert (answer.status_code, answer.content) == (500, b"")
    assert api.get(made["id"]) == made


def test_external_id_change_notes_the_new_ones(api: Api) -> None:
    """Each change adds the new id, not the old one, to `old_external_ids`."""
    made = api.create("renamed", metadata={"k": "v"})
    one, two = made["external_id"] + "b", made["external_id"] + "c"
    assert api.put(made["id"], external_id=one).json()["metadata"] == {"k": "v", "old_external_ids": one}
    assert api.put(made["id"], external_id=two).json()["metadata"] == {"k": "v", "old_external_ids": f"{one},{two}"}


@pytest.mark.parametrize("field", ["email", "address_country", "timezone"])
def test_some_fields_cannot_be_cleared(api: Api, field: str) -> None:
    """E-mail, country and zone refuse an empty string on update."""
    values = {"email": "a@example.com", "address_country": "FR", "timezone": "Europe/Paris"}
    made = api.create(f"clear-{field}", **values)
    answer = api.put(made["id"], **{field: ""})
    assert answer.status_code == 400
    assert len(answer.json()["details"]) == 1
    assert api.get(made["id"])[field] == values[field]


def test_other_fields_can_be_cleared(api: Api) -> None:
    """Address lines and contact take an empty string; contact stays present."""
    made = api.create("clearable", address_line2="Floor 2", contact="+15550100")
    answer = api.put(made["id"], address_line2="", contact="").json()
    assert (answer["address_line2"], answer["contact"]) == ("", "")


@pytest.mark.parametrize("field", ["name", "external_id"])
def test_empty_name_or_id_is_a_permanent_500(api: Api, field: str) -> None:
    """An empty name or external id on update is only refused by the database."""
    made = api.create(f"no-{field}", metadata={})
    answer = api.put(made["id"], **{field: ""})
    assert (answer.status_code, answer.json()["code"]) == (500, "database_error")


@pytest.mark.parametrize(
    ("field", "value", "tag"),
    [
        ("name", "", "required"),
        ("name", "n" * 256, "max"),
        ("email", "nope", "email"),
        ("address_country", "XX", "iso3166_1_alpha2"),
        ("address_country", "us", "iso3166_1_alpha2"),
        ("timezone", "Mars/Base", "timezone"),
        ("timezone", "utc", "timezone"),
        ("contact", "1" * 21, "max"),
        ("address_city", "c" * 101, "max"),
        ("address_postal_code", "1" * 21, "max"),
    ],
)
def test_create_checks_each_field(api: Api, field: str, value: str, tag: str) -> None:
    """A broken rule is a 400 whose details name the Go field and the tag."""
    answer = api.post(f"{api.prefix}-broken", **{field: value})
    assert answer.status_code == 400
    assert answer.json()["message"] == "Request validation failed"
    (name, text), *more = answer.json()["details"].items()
    assert not more
    assert text.endswith(f"Error:Field validation for '{name}' failed on the '{tag}' tag")


@pytest.mark.parametrize(
    ("value", "field"), [("XK", "address_country"), ("EST", "timezone"), ("é@exämple.com", "email")]
)
def test_create_accepts_the_unusual(api: Api, value: str, field: str) -> None:
    """Kosovo, old zone names and internationalised addresses pass."""
    assert api.create(f"odd-{field}", **{field: value})[field] == value


BOUNDED = {name: field.octets for name, field in FIELDS.items() if field.octets}


@pytest.mark.parametrize("field", BOUNDED)
def test_bounded_texts_are_also_counted_in_bytes(api: Api, field: str) -> None:
    """Two-byte letters that fill the limit's bytes pass, one more fails; POST and PUT alike."""
    fits, over = "é" * (BOUNDED[field] // 2), "é" * (BOUNDED[field] // 2 + 1)
    made = api.create(f"bytes-{field}", **{field: fits})
    assert made[field] == fits
    assert api.post(f"{api.prefix}-bytes-{field}-over", **{field: over}).status_code == 400
    for value, status in ((over, 400), (fits, 200)):
        assert api("PUT", f"/customers/{made['id']}", json={field: value}).status_code == status


@pytest.mark.parametrize(("field", "most"), [("name", 255), ("contact", 20)])
def test_other_texts_are_counted_in_characters(api: Api, field: str, most: int) -> None:
    """Wide letters fill the limit of names and contacts, on POST and PUT; `BOUNDED` fields alone count bytes."""
    made = api.create(f"wide-{field}", **{field: "é" * most})
    assert api("PUT", f"/customers/{made['id']}", json={field: "用" * most}).json()[field] == "用" * most
    over = api.post(f"{api.prefix}-wide-{field}-over", **{field: "é" * (most + 1)})
    assert over.status_code == 400


def test_over_long_external_id_is_a_500(api: Api) -> None:
    """256 characters of external id get past the checks and fail in the database."""
    answer = api.post("e" * 256)
    assert (answer.status_code, answer.json()["message"]) == (500, "Failed to create customer")


def test_update_addressing(api: Api) -> None:
    """Path id, query id and external id reach the same row; neither or two different ones are 400."""
    made, other = api.create("address"), api.create("address-2")
    for path, params in (
        (f"/customers/{made['id']}", {}),
        ("/customers", {"id": made["id"]}),
        ("/customers", {"external_customer_id": made["external_id"]}),
    ):
        assert api("PUT", path, params=params, json={}).json()["id"] == made["id"]
    assert api("PUT", "/customers", json={}).status_code == 400
    both = {"id": made["id"], "external_customer_id": other["external_id"]}
    assert api("PUT", "/customers", params=both, json={}).status_code == 400
    assert api("PUT", "/customers", params={"id": "cust_none"}, json={}).status_code == 404


def test_archive_is_soft_and_once(api: Api) -> None:
    """DELETE archives, bumps `updated_at`, leaves the row readable by id but not by external id, and works once."""
    before = api.get(api.create("soft")["id"])
    assert api.archive(before["id"]) == 204
    after = api.get(before["id"])
    assert after["status"] == "archived"
    assert after["updated_at"] > before["updated_at"]
    assert api("GET", f"/customers/external/{before['external_id']}").status_code == 404
    again = api("DELETE", f"/customers/{before['id']}")
    assert (again.status_code, again.json()["message"]) == (404, "Customer does not exist")


def test_archived_customer_can_be_updated(api: Api, archived: Json) -> None:
    """PUT works on an archived row and does not bring it back."""
    assert api.put(archived["id"], name="Still here").json()["status"] == "archived"


def test_active_subscription_blocks_archiving(api: Api) -> None:
    """A customer with an active subscription cannot be archived."""
    found = api.subscriptions(limit=1)
    if not found:
        pytest.skip("the account has no active subscription")
    answer = api("DELETE", f"/customers/{found[0]['customer_id']}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_operation")


def test_updated_at_is_the_servers_clock(api: Api) -> None:
    """A row's `updated_at` lies within a minute of the answer's Date."""
    made = api.create("clock")
    answer = api("GET", f"/customers/{made['id']}")
    date = datetime.strptime(answer.headers["date"], "%a, %d %b %Y %H:%M:%S GMT")
    stored = datetime.fromisoformat(answer.json()["updated_at"].rstrip("Z"))
    assert abs(date - stored) < timedelta(minutes=1)
