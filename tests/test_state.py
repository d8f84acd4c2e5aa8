"""Watermarks, windows of time, modes and run ids: arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from connector.pull.proof_windows import cut, number_of_windows
from connector.pull.watermarks import starts
from connector.pull.windows import FULL, INCREMENTAL, certified_until, mode_of, new_run_id, resumable

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(st.lists(MOMENTS, min_size=1, max_size=20))
def test_run_ids_sort_in_the_order_of_their_making(moments: list[datetime]) -> None:
    """Whatever a server's clock says, even twice the same second or back in time, a later run has the larger id."""
    made: list[str] = []
    for moment in moments:
        made.append(new_run_id(moment, made[-1] if made else None))
    assert made == sorted(made)
    assert len(set(made)) == len(made)


@given(MOMENTS, st.timedeltas(timedelta(days=-30), timedelta(days=30)))
def test_the_mode_is_full_at_first_and_when_the_last_full_walk_is_old(now: datetime, age: timedelta) -> None:
    """Without a full walk, with one of `full_every` ago, or with one in the future, everything is walked."""
    week = timedelta(days=7)
    assert mode_of(None, now, week) == FULL
    assert mode_of(now - age, now, week) == (INCREMENTAL if timedelta(0) <= age < week else FULL)


@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_resuming_is_counted_from_the_run(moment: datetime, span: timedelta) -> None:
    """A run can be resumed for so long and not longer."""
    assert resumable(moment, moment + span, timedelta(hours=24)) == (span < timedelta(hours=24))


@given(st.lists(MOMENTS, max_size=3), MOMENTS)
def test_t0_lies_after_every_row_that_existed(newest: list[datetime], began: datetime) -> None:
    """Whatever the clocks say, T0 is later than the run's beginning and than the newest row of every status."""
    assert all(certified_until(began, newest) > moment for moment in (began, *newest))


OVERLAP = timedelta(minutes=10)


@given(st.none() | MOMENTS, st.none() | MOMENTS, st.lists(MOMENTS, min_size=1, max_size=2))
def test_a_cursor_never_passes_the_newest_row(
    cursor: datetime | None, watermark: datetime | None, clocks: list[datetime]
) -> None:
    """The next cursor is at most the newest row, whatever the clocks say; a wrong clock never moves one back."""
    start = starts({"w": cursor}, {"w": watermark}, clocks, OVERLAP)["w"]
    if watermark is None:
        assert start.cursor == cursor
        return
    assert start.cursor is not None
    assert start.cursor <= watermark
    if cursor:
        assert start.cursor >= min(cursor, watermark)
    if min(clocks) >= watermark:
        assert start.cursor == watermark
    assert start.closing(OVERLAP) == start.cursor - OVERLAP, "a row of the future hides nothing from the closing pass"


@given(MOMENTS, st.none() | MOMENTS)
def test_a_window_starts_before_both_cursor_and_newest_row(cursor: datetime, watermark: datetime | None) -> None:
    """A cursor that a wrong clock put after the newest row hides no change; without a cursor everything is read."""
    since = starts({"w": cursor}, {"w": watermark}, [cursor], OVERLAP)["w"].since
    assert since == min(cursor, watermark or cursor) - OVERLAP
    assert starts({}, {"w": watermark}, [cursor], OVERLAP)["w"].since is None


@given(MOMENTS, st.integers(1, 20), st.lists(MOMENTS, max_size=30), st.text())
def test_windows_cover_the_time_before_t0_once(t0: datetime, number: int, created: list[datetime], seed: str) -> None:
    """No gap, no overlap, at most as many as asked for, the same for a resumed run, other ones for the next."""
    windows = cut(t0, number, created, seed)
    assert windows == cut(t0, number, [*reversed(created)], seed)
    assert (windows[0].begins, windows[-1].ends) == (None, t0)
    assert all(one.ends == two.begins for one, two in pairwise(windows))
    assert all(window.begins is None or window.begins < window.ends for window in windows)
    assert 1 <= len(windows) <= max(1, number)


def test_windows_cost_about_one_call_in_a_hundred() -> None:
    """Few windows where few calls are made or where a count is slow, never more than the setting."""
    assert [number_of_windows(16, calls, 0.01) for calls in (0, 3000, 10_000)] == [4, 10, 16]
    assert number_of_windows(16, 10_000, 0.6) == 4
    assert number_of_windows(2, 10_000, 0.01) == 2
