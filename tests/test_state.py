"""Cursors, windows and run ids: arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from connector.pull.windows import FULL, INCREMENTAL, mode_of, new_run_id, resumable, window_start

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(st.lists(MOMENTS, min_size=1, max_size=20))
def test_run_ids_sort_in_the_order_of_their_making(moments: list[datetime]) -> None:
    """Whatever a server's clock says, even twice the same second or back in time, a later run has the larger id."""
    made: list[str] = []
    for moment in moments:
        made.append(new_run_id(moment, made[-1] if made else None))
    assert made == sorted(made)
    assert len(set(made)) == len(made)


@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=30)))
def test_the_mode_is_full_at_first_and_when_the_last_full_walk_is_old(now: datetime, age: timedelta) -> None:
    """Without a cursor, or with a full walk of `full_every` ago, everything is walked."""
    week = timedelta(days=7)
    assert mode_of(None, None, now, week) == FULL
    assert mode_of(now - age, now - age, now, week) == (FULL if age >= week else INCREMENTAL)


@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_windows_and_resuming_are_counted_from_the_run(moment: datetime, span: timedelta) -> None:
    """A window starts its overlap before the cursor; a run can be resumed for so long and not longer."""
    assert window_start(moment, span) == moment - span
    assert resumable(moment, moment + span, timedelta(hours=24)) == (span < timedelta(hours=24))
