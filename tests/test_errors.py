"""connector.errors, answers, retries: every body becomes one error that says the thing, the value and the way out."""

from __future__ import annotations

import inspect
import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import tenacity
from hypothesis import given, settings
from hypothesis import strategies as st

from connector import errors
from connector.api import answers, calls, masking
from connector.api.answers import judge, retry_after
from connector.api.retries import Failure, Retry, RetryState
from connector.errors import (
    AccessRefused,
    Conflict,
    FlexsyncError,
    KeyRefused,
    NotFound,
    Refused,
    TryAgain,
    UnknownOutcome,
    Unreachable,
)
from connector.settings import Secret

KEY = Secret("sk_MARKER0123456789MARKER")
CALL = calls.get_customer("cust_1")
USAGE = calls.get_usage("cust_1")
CREATE = calls.create_customer(external_id="e1", name="A")


def said(status: int, body: bytes | object, **headers: str) -> FlexsyncError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(CALL, status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, KEY)


# --- the tree ---


def test_tree_in_the_docstring_is_the_tree() -> None:
    """The drawing at the top of errors.py names every class under its parent, in order of the code's own hierarchy."""
    drawn: dict[str, str] = {}
    stack: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line)
        if found:
            depth = len(found[1]) // 4
            stack[depth:] = [found[2]]
            drawn[found[2]] = stack[depth - 1] if depth else ""
    public = [getattr(errors, name) for name in errors.__all__]
    assert set(drawn) == set(errors.__all__)
    for kind in public:
        parents = [base.__name__ for base in kind.__mro__[1:] if base.__name__ in drawn]
        assert drawn[kind.__name__] == (parents[0] if parents else "")


def test_every_class_has_an_exit_code_and_a_sentence() -> None:
    """Each error says in a sentence what it is, and ends the command with a promised code."""
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert inspect.getdoc(kind)
        assert kind.exit_code in {1, 2, 3, 4, 5, 130}
        assert str(kind("thing 5.", remedy="Do that.")) == "thing 5. Do that."


@pytest.mark.parametrize(
    ("key", "text", "shown"),
    [
        ("k", "not known, key k", "not known, key ***"),
        ("sandbox", "sandboxes refuse 'sandbox' and x_sandbox", "sandboxes refuse '***' and x_sandbox"),
        ("sk_12345", "known: xSK_12345x", "known: x***x"),
    ],
)
def test_a_short_key_is_masked_as_a_word(key: str, text: str, shown: str) -> None:
    """A key as short as a word is masked where it stands alone, so that texts stay readable; a longer one anywhere."""
    assert masking.redacted(text, Secret(key)) == shown


LONG = "sk_01JSECRETKEY0123456789ABCD"
SHAPES = {
    "lower case": LONG.lower(),
    "upper case": LONG.upper(),
    "percent-encoded": LONG.replace("_", "%5f"),
    "percent-encoded whole": "".join(f"%{ord(one):02X}" for one in LONG),
    "HTML": LONG.replace("_", "&#95;"),
    "HTML in hexadecimal": LONG.replace("_", "&#x5F;"),
    "escaped in JSON": LONG.replace("_", r"\u005f"),
    "spaced": " ".join(LONG),
    "in lines": f"{LONG[:15]}\n  {LONG[15:]}",
    "all but the first": LONG[1:],
    "all but the last": LONG[:-1],
    "the middle": LONG[8:20],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_key_is_masked_in_every_shape(shape: str) -> None:
    """A message shows no key in other letters, escaped, spaced out or in part, and keeps the text around it."""
    assert masking.redacted(f"key '{SHAPES[shape]}' is not allowed", Secret(LONG)) == "key '***' is not allowed"
    body = {"message": SHAPES[shape], "details": {"a": [SHAPES[shape]]}}
    told = judge(CALL, 403, {}, json.dumps(body).encode(), Secret(LONG))
    assert SHAPES[shape] not in f"{told} {told.details}"  # type: ignore[union-attr]


def test_ids_and_texts_near_the_key_stay() -> None:
    """Ids of the same millisecond share the key's first ten letters, and other texts a few; none of them is masked."""
    text = "cust_01JSECRETK0000 of 'SecretKey' 0123456789, %zz &#1; \\u00 50 % İstanbul"
    assert masking.redacted(text, Secret(LONG)) == text


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        LONG.lower(),
        LONG[3:],
        LONG.replace("_", r"\u005f"),
        LONG.replace("_", "%5F"),
        f"Bearer {LONG}",
        f"\\n{LONG}",
    ],
)
def test_a_body_with_the_key_stays_json(text: str) -> None:
    """The key is masked in the bytes of a good answer, whatever form it has, and all else is as it was sent."""
    mask = masking.Mask(Secret(LONG))
    body = b'{"items":[{"id":"a\\n","headers":{"x-api-key":"%s"}}],"%s":1}' % (text.encode(), text.encode())
    found = mask.body(body, "get_usage")
    assert b"SECRETKEY" not in found.upper()
    assert len(found) == len(body)
    assert json.loads(found)["items"][0]["id"] == "a\n"
    assert mask.repeated_in == "get_usage"


def test_a_key_that_begins_like_an_escape_leaves_json() -> None:
    """Where the key follows a backslash, its first letter may be the escape's, and stays."""
    found = masking.Mask(Secret("n01JSECRETKEY0123")).body(rb'{"a":"\n01JSECRETKEY0123"}', "x")
    assert json.loads(found) == {"a": "\n" + "*" * 16}


@pytest.mark.parametrize("key", ["", "sandbox", "sk_12345678"])
def test_a_body_is_never_changed_for_a_short_key(key: str) -> None:
    """A key as short as a word can be part of data; what does not hold the key is handed on as it is."""
    body = b'{"name":"sandbox sk_12345678"}'
    assert masking.Mask(Secret(key)).body(body, "x") is body
    assert masking.Mask(Secret(LONG)).body(body, "x") is body


# --- bodies ---


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ({"code": "validation_error", "message": "bad", "http_status_code": 400, "details": {"Name": "required"}},
         ["validation_error", "bad", "Name: required"]),
        ({"error": "Unauthorized"}, ["Unauthorized"]),
        ({"error": "Access denied", "message": "Invalid environment"}, ["Access denied: Invalid environment"]),
        ({"message": "insufficient permissions"}, ["insufficient permissions"]),
        (b"404 page not found", ["404 page not found"]),
        (b"", ["empty body"]),
        (b"<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>",
         ["an HTML page: 502 Bad Gateway"]),
        (b'<a href="/v1/customers">Moved Permanently</a>.', ["Moved Permanently"]),
        ({"success": False, "error": {"message": "old", "internal_error": "deep", "details": {"a": 1}}},
         ["old", "a: 1"]),
        ({"success": False, "error": {"internal_error": "deep"}}, ["deep"]),
        (b"upstream connect error\n  reset\xff", ["upstream connect error reset"]),
        (["a", 1], ["['a', 1]"]),
        ("text", ["text"]),
        (None, ["None"]),
        ({"error": None, "message": 5, "details": "x"}, ["400"]),
    ],
)  # fmt: skip
def test_every_body_is_understood(body: bytes | object, parts: list[str]) -> None:
    """All shapes of contract.md 2.2, and what no server should send, come out as readable words."""
    error = said(400, body)
    assert isinstance(error, Refused)
    for part in ["get_customers_id_ cust_1", "GET /customers/cust_1", "400", *parts]:
        assert part in str(error)


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(200, 599))
def test_no_body_breaks_the_reader(body: bytes, status: int) -> None:
    """Any bytes with any status become an error of ours, never a traceback."""
    assert isinstance(said(status, body), FlexsyncError)


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["error", "message", "code", "details", "internal_error"]), x)), st.integers(200, 599))  # fmt: skip
def test_no_json_breaks_the_reader(body: object, status: int) -> None:
    """Any JSON under the known names becomes an error of ours as well."""
    assert isinstance(said(status, body), FlexsyncError)


DEPTHS = (100, 400, 470, 600, 900, 960, 985, 1500, 100_000)  # around the limits of each reader, and far beyond


def nested(depth: int) -> bytes:
    return b"[" * depth + b'"deep"' + b"]" * depth


@pytest.mark.parametrize("name", ["error", "message", "code", "details", "other", 'details":{"a'])
def test_no_depth_breaks_the_reader(name: str) -> None:
    """JSON nested deeper than any decoder goes becomes an error of ours too, wherever it stands."""
    closed = b"}" * (1 + name.count("{"))
    for depth in DEPTHS:
        for status in (200, 403, 500):
            assert isinstance(said(status, b'{"%s":%s%s' % (name.encode(), nested(depth), closed)), FlexsyncError)
    assert isinstance(said(403, nested(1500)), FlexsyncError)


@pytest.mark.parametrize("depth", [900, 1500, 100_000])
def test_a_deep_body_is_whole_unless_it_is_torn(depth: int) -> None:
    """A whole body costs the row that holds the depth; a torn one is asked for again."""
    body = b'{"a":"]}\\"{","items":%s,"pagination":{"total":1}}' % nested(depth)
    assert answers.is_object(body)
    torn = (body[:-1], body[: len(body) // 2], body + b"}", body[:-1] + b"]", body[:-2] + b'"}', body + body, body[1:])
    assert [one for one in torn if answers.is_object(one)] == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, KeyRefused), (403, AccessRefused), (404, NotFound), (409, Conflict), (400, Refused), (422, Refused),
     (413, Refused), (501, Refused), (505, Refused), (300, Unreachable), (200, TryAgain),
     *[(status, TryAgain) for status in (408, 429, 500, 502, 503, 504)]],
)  # fmt: skip
def test_status_decides_the_class(status: int, kind: type[FlexsyncError]) -> None:
    """Each status has one class, and the error keeps status, code and request id for whoever asks."""
    error = said(status, {"code": "c_1", "message": "m"}, x_request_id="req_9")
    assert type(error) is kind
    assert (error.status, error.code, error.request_id) == (status, "c_1", "req_9")  # type: ignore[attr-defined]


def test_long_texts_are_cut() -> None:
    """A page of text from outside does not flood the message."""
    assert len(str(said(400, b"x" * 100_000))) < 700
    assert len(str(said(400, {"message": "m" * 9999, "details": {"d": "x" * 9999}}))) < 1000


# --- Retry-After ---


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 12 ", 12),
        ("-5", None),
        ("9" * 400, None),
        ("9" * 5000, None),
        ("1e3", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_in_seconds(text: str, seconds: float | None) -> None:
    """Whole seconds are read; nonsense is the same as no header."""
    assert retry_after(text) == seconds


def test_retry_after_as_a_date() -> None:
    """An HTTP date is measured against the server's own clock only; the past, or no such clock, is no header."""
    now = datetime(2026, 8, 1, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=90), True)
    assert retry_after(later, format_datetime(now, True)) == 90
    assert retry_after(later, later) == 0
    assert retry_after(format_datetime(now, True), later) is None
    assert retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=60), True)) is None
    assert retry_after(later, "the sixth of May") is None


def test_only_429_and_503_can_hold_everybody() -> None:
    """Retry-After counts with the two statuses that mean "not now"; elsewhere it is ignored."""
    waits = {
        status: getattr(said(status, b"", retry_after="9"), "retry_after", None) for status in (429, 503, 500, 404)
    }
    assert waits == {429: 9, 503: 9, 500: None, 404: None}


# --- retries ---


def retrying(call: calls.Call = USAGE, attempts: int = 6) -> RetryState:
    return RetryState(call, Retry(attempts, tenacity.wait_none()), 900, lambda: 0.0)


def failure(status: int, body: bytes = b"", *, sent: bool = True, wait: str = "") -> Failure:
    error = judge(CALL, status, {"retry-after": wait}, body, KEY)
    assert isinstance(error, TryAgain | KeyRefused)
    return Failure(error, body, sent)


def play(state: RetryState, *failures: Failure, worked: bool = False) -> tuple[int, FlexsyncError | None]:
    """How many failures were waited out, and the error that ended it."""
    for count, each in enumerate(failures):
        try:
            state.after(each, worked)
        except FlexsyncError as error:
            return count, error
    return len(failures), None


def test_reads_are_given_all_attempts() -> None:
    """Five faults are waited out, the sixth ends the call, with the count in the message."""
    count, error = play(retrying(), *[failure(503)] * 9)
    assert (count, type(error)) == (5, Refused)
    assert "Tried 6 times" in str(error)


def test_three_identical_500s_are_permanent() -> None:
    """Only the third 500 in a row with the same body counts; another status or body between starts anew."""
    assert play(retrying(), *[failure(500, b"a")] * 9)[0] == 2
    assert play(retrying(), *[failure(500, b"a"), failure(500, b"b")] * 9)[0] == 5
    assert play(retrying(), failure(500), failure(500), failure(502), failure(500), failure(500), failure(500))[0] == 5
    assert play(retrying(), *[failure(503, b"a")] * 9)[0] == 5


def test_a_listing_that_cannot_be_read_stops_the_run() -> None:
    """What is skipped for one customer is Unreachable for a listing, and for a host that is gone in any case."""
    assert type(play(retrying(CALL), *[failure(503)] * 9)[1]) is Unreachable
    assert type(play(retrying(USAGE), *[failure(503, sent=False)] * 9)[1]) is Unreachable
    assert type(play(retrying(CALL), *[failure(500)] * 9)[1]) is Refused


def test_pauses_cost_nothing_until_patience_ends() -> None:
    """Retry-After is obeyed for ever-so-many answers, but one call cannot put a run off beyond max_pause."""
    now = 0.0
    state = RetryState(USAGE, Retry(2, tenacity.wait_none()), 900, lambda: now)
    for _ in range(100):
        assert state.after(failure(429, wait="5"), key_worked=True).for_all
    now = 901.0
    assert not state.after(failure(429, wait="5"), key_worked=True).for_all
    with pytest.raises(Refused, match="Tried 102 times"):
        state.after(failure(429, wait="5"), key_worked=True)


def test_unauthorized_is_final_the_second_time_unless_the_key_worked() -> None:
    """A key that never worked gets one more try; one that did gets them all."""
    assert play(retrying(), *[failure(401)] * 9)[0] == 1
    count, error = play(retrying(), *[failure(401)] * 9, worked=True)
    assert (count, type(error)) == (5, KeyRefused)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520, 524, 201])
def test_write_of_unknown_outcome(status: int) -> None:
    """A write that was sent and got no clear answer ends at once, keeping what the answer said."""
    count, error = play(retrying(CREATE), failure(status, b'{"code":"x"' + (b"" if status == 201 else b"}")))
    assert (count, type(error)) == (0, UnknownOutcome)
    assert isinstance(error, UnknownOutcome)
    assert error.unknown_outcome
    assert error.status == status


@pytest.mark.parametrize("each", [failure(429), failure(502, sent=False)])
def test_write_that_was_not_carried_out_is_repeated(each: Failure) -> None:
    """Refused at the door or never sent: a write has the same tries as a read."""
    count, error = play(retrying(CREATE), *[each] * 9)
    assert (count, type(error)) == (5, Unreachable)


ALL_FAILURES = [failure(500), failure(502), failure(503), failure(429, wait="1"), failure(401), failure(408)]


@settings(deadline=None)
@given(st.lists(st.sampled_from(ALL_FAILURES), max_size=30), st.integers(1, 8), st.booleans())
def test_no_story_is_endless(story: list[Failure], attempts: int, worked: bool) -> None:
    """Whatever the faults, a call makes at most its attempts, not counting pauses that the server asked for."""
    state = retrying(attempts=attempts)
    waited = play(state, *story, worked=worked)[0]
    assert waited - state.paused < attempts


def test_every_message_has_a_way_out() -> None:
    """Errors made here name the operation and say what to do."""
    found = [
        answers.redirected(CALL, 301, "https://b.test/", KEY),
        *[
            play(retrying(call), *[failure(status)] * 9)[1]
            for call in (CALL, USAGE, CREATE)
            for status in (401, 429, 500, 503)
        ],
        *[said(status, b"") for status in (400, 401, 403, 404, 409)],
    ]
    for error in found:
        assert error is not None
        assert "customers" in error.message
        assert error.remedy, error
