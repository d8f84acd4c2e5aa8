"""connector.api.outages: which failures are an outage, which are not, and which answers it makes doubtful."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sizes import Size, sizes

from connector.api.outages import LEAD, MARGIN, ROW, Episode, Outages, Outcome

ANSWERED, FAILED, UNCONNECTED, DEFERRED = Outcome
CLASSES = ("usage", "entitlements", "upcoming_grants")


@dataclass
class Story:
    """Exchanges told in order; time passes only by them. Every class has answered before."""

    now: float = 0.0
    told: int = 0
    outages: Outages = field(init=False)

    def __post_init__(self) -> None:
        self.outages = Outages(lambda: self.now)
        for endpoint in CLASSES:
            self.tell(ANSWERED, endpoint=endpoint)

    def tell(
        self,
        outcome: Outcome,
        *,
        after: float = 0.0,
        took: float = 0.0,
        about: str | None = None,
        endpoint: str = "usage",
    ) -> bool:
        """One exchange that ends `after` seconds later; by default about a customer of its own."""
        self.now += after
        self.told += 1
        about = f"cust_{self.told}" if about is None else about
        return self.outages.note(self.now - took, self.now, outcome, about, endpoint)

    def is_open(self) -> bool:
        return self.outages.open

    def episodes(self) -> list[Episode]:
        return list(self.outages.episodes)

    def fail(self, count: int = LEAD, after: float = 0.01) -> None:
        for _ in range(count):
            self.tell(FAILED, after=after)


# --- the beginning ----------------------------------------------------------------------------------------------------


def test_an_episode_begins_with_the_first_failure() -> None:
    """What makes the episode known is the last failure; it began when the first of the failed calls started."""
    story = Story(now=100.0)
    assert not story.tell(FAILED, after=1.0, took=0.5)
    assert [story.tell(FAILED, after=0.1) for _ in range(LEAD - 1)] == [False] * (LEAD - 2) + [True]
    assert story.is_open()
    assert story.episodes() == [(100.5, None)]


@given(st.lists(st.sampled_from([ANSWERED, FAILED]), min_size=1, max_size=40), st.randoms())
def test_order_within_a_second_does_not_matter_where_it_is_promised(
    kinds: list[Outcome], chance: random.Random
) -> None:
    """Failures that lead by LEAD are an episode in any order, fewer than ROW in none; also if all are simultaneous."""
    failed = kinds.count(FAILED)
    lead = 2 * failed - len(kinds)
    found = set()
    for step in (0.0, 0.9 / len(kinds)):
        for _ in range(3):
            chance.shuffle(kinds)
            story = Story()
            for kind in kinds:
                story.tell(kind, after=step)
            found.add(bool(story.episodes()))
    assert lead < LEAD or found == {True}
    assert failed >= ROW or found == {False}


@sizes(default=5, sampled=50, thorough=5_000)
def test_isolated_errors_are_no_episode(size: Size) -> None:
    """10,000 calls of which 5 % fail by chance, 32 in flight, at 40 to 1,000 calls a second: no episode."""
    chance = size.chance()
    met = 0
    for _ in range(size.count):
        story, rate = Story(), chance.choice((40, 100, 300, 1000))
        for _ in range(10_000):
            kind = FAILED if chance.random() < 0.05 else ANSWERED
            took = 64 / rate * chance.random()
            story.tell(kind, after=chance.expovariate(rate), took=took, endpoint=chance.choice(CLASSES))
        met += len(story.episodes())
    assert met <= size.count / 100  # once in 300 such runs is what chance does; none of the default ones


@sizes(default=30, sampled=300, thorough=30_000)
def test_an_outage_of_a_second_is_always_an_episode(size: Size) -> None:
    """32 callers, 40 to 1,000 calls a second, any mixture of classes: a second without a good answer is an episode."""
    chance = size.chance()
    for _ in range(size.count):
        rate, lasts = chance.choice((40, 100, 300, 1000)), chance.uniform(1.0, 5.0)
        story = Story()
        down = chance.uniform(3.0, 4.0)
        last_good = work(story, chance, callers=32, seconds=32 / rate, down=(down, down + lasts))
        assert [begin for begin, _ in story.episodes() if down - 64 / rate <= begin <= down + 1.0]
        assert story.outages.touched(last_good - 0.01, last_good), "the answer just before it is not in doubt"


@sizes(default=30, sampled=300, thorough=30_000)
def test_a_slow_run_meets_an_outage_as_well(size: Size) -> None:
    """One or two calls a second, whose failures are few: an outage of five seconds is an episode all the same."""
    chance = size.chance()
    for _ in range(size.count):
        story = Story()
        last_good = work(story, chance, callers=8, seconds=0.1, down=(20.0, 25.0), every=chance.uniform(0.5, 1.0))
        assert len(story.episodes()) == 1
        assert story.outages.touched(last_good - 0.1, last_good)


def work(
    story: Story,
    chance: random.Random,
    callers: int,
    seconds: float,
    down: tuple[float, float],
    every: float = 0.0,
) -> float:
    """Let callers ask until four seconds after the outage; returns when the last answer before it came.

    A call takes `seconds` on average; `every` is the least time between two starts. Who fails waits as the client does.
    """
    ready = [(chance.random() * seconds, number, 0) for number in range(callers)]
    ending: list[tuple[float, float, int, int]] = []
    next_start = last_good = 0.0
    while ready or ending:
        if ready and (not ending or max(ready[0][0], next_start) <= ending[0][0]):
            at, number, failures = heapq.heappop(ready)
            began = max(at, next_start)
            next_start = began + every
            heapq.heappush(ending, (began + 2 * seconds * chance.random(), began, number, failures))
            continue
        ended, began, number, failures = heapq.heappop(ending)
        bad = down[0] <= ended < down[1]
        story.now = max(story.now, ended)
        story.tell(FAILED if bad else ANSWERED, took=ended - began, endpoint=CLASSES[number % 3])
        last_good = ended if ended < down[0] else last_good
        failures = failures + 1 if bad else 0
        if ended < down[1] + 4.0:
            wait = chance.random() * 2 ** (failures - 1) if bad else 0.0
            heapq.heappush(ready, (ended + wait, number, failures))
    return last_good


def test_one_customer_is_no_outage() -> None:
    """Calls about one customer or two may fail for ever, with no other call between them."""
    story = Story()
    for number in range(100):
        story.tell(FAILED, after=1.0, about=f"cust_{number % 2}")
    assert story.episodes() == []


def test_connections_that_fail_are_nobodys_own() -> None:
    """Connections that cannot be made are an outage, even if they all are for one customer, or for none."""
    for about in ("cust_1", ""):
        story = Story()
        for _ in range(ROW):
            story.tell(UNCONNECTED, after=0.5, about=about)
        assert story.is_open()


def test_429s_are_no_outage() -> None:
    """A storm of 429s says that we are too fast, not that the server fails; nor does it hide an outage."""
    story = Story()
    for _ in range(1000):
        story.tell(DEFERRED, after=0.01)
    assert story.episodes() == []
    for _ in range(LEAD):
        story.tell(FAILED)
        story.tell(DEFERRED)
    assert story.is_open()


def test_one_class_can_fail_alone() -> None:
    """Usage may be lost while ten times as many other calls are answered."""
    story = Story()
    for _ in range(LEAD):
        story.tell(FAILED, endpoint="usage")
        for _ in range(10):
            story.tell(ANSWERED, endpoint="entitlements")
    assert story.is_open()


def test_a_class_that_never_answered_has_no_outage() -> None:
    """An endpoint that this server does not have, or that always fails, makes no episode."""
    story = Story()
    for _ in range(100):
        story.tell(FAILED, after=0.1, endpoint="other")
    assert story.episodes() == []


# --- the end ----------------------------------------------------------------------------------------------------------


def test_it_ends_with_the_second_clean_second() -> None:
    """Two seconds with answers end it, counted from the first answer; known as soon as they have passed."""
    story = Story(now=10.0)
    story.fail(after=0.0)
    story.tell(ANSWERED, after=3.0)
    story.tell(ANSWERED, after=1.5)
    assert story.is_open()
    story.now += 0.5
    assert not story.is_open()
    assert story.episodes() == [(10.0, 15.0)]


def test_a_second_without_calls_says_nothing() -> None:
    """Silence neither ends an episode nor makes the clean second before it worthless; a lone probe is clean."""
    story = Story(now=10.0)
    story.fail(after=0.0)
    story.now += 100.0
    assert story.is_open()
    story.tell(ANSWERED)  # a probe, alone in its second
    story.now += 60.0
    assert story.is_open()
    story.tell(ANSWERED, after=0.5)
    story.now += 1.0
    assert not story.is_open()
    assert story.episodes() == [(10.0, 171.0)]


def test_a_second_of_failures_starts_the_count_anew() -> None:
    """A second in which as many failed as were answered is not clean, and the one before it no longer counts."""
    story = Story(now=10.0)
    story.fail(after=0.0)
    story.tell(ANSWERED, after=1.0)
    story.tell(ANSWERED, after=1.0)
    story.tell(FAILED)
    story.tell(ANSWERED, after=1.0)
    story.now += 1.0
    assert story.is_open()
    story.tell(ANSWERED)
    story.now += 1.0
    assert not story.is_open()


def test_isolated_errors_do_not_keep_it_open() -> None:
    """A clean second may have failures, as long as more calls were answered."""
    story = Story()
    story.fail()
    for number in range(100):
        story.tell(FAILED if number % 10 == 5 else ANSWERED, after=0.025)
    assert not story.is_open()


def test_a_second_outage_is_a_second_episode() -> None:
    """Episodes are kept, in order; one that has not ended goes on when the server fails again."""
    story = Story(now=10.0)
    story.fail(after=0.0)
    story.tell(ANSWERED, after=1.0)
    story.fail(after=0.0)  # before the second clean second
    assert story.episodes() == [(10.0, None)]
    for _ in range(10):
        story.tell(ANSWERED, after=0.5)
    story.fail(after=0.0)
    assert story.episodes() == [(10.0, 13.5), (16.0, None)]


# --- which answers are in doubt ---------------------------------------------------------------------------------------


def test_touched_is_told_after_the_fact() -> None:
    """An answer that nothing spoke against when it came is in doubt once the failures that follow it are known."""
    story = Story(now=10.0)
    assert not story.outages.touched(9.0, 10.0)
    story.fail(after=0.25)
    assert story.episodes()[0][0] == 10.25
    assert story.outages.touched(9.0, 10.0)
    assert not story.outages.touched(8.0, 8.2)
    assert not story.outages.touched(9.0, 10.0, margin=0.1)


@pytest.mark.parametrize(
    ("began", "ended", "doubtful"),
    [
        (0.0, 7.9, False),
        (0.0, 8.0, True),
        (11.0, 11.5, True),
        (0.0, 99.0, True),
        (17.0, 17.1, True),
        (17.1, 18.0, False),
    ],
)
def test_an_answer_touches_what_it_overlaps(began: float, ended: float, doubtful: bool) -> None:
    """An exchange that overlaps an episode and two seconds on both sides is in doubt, and no other."""
    story = Story(now=10.0)
    story.fail(after=0.0)
    story.tell(ANSWERED, after=3.0)
    story.tell(ANSWERED, after=1.0)
    story.now = 100.0
    assert (story.episodes(), MARGIN) == ([(10.0, 15.0)], 2.0)
    assert story.outages.touched(began, ended) is doubtful


def test_everything_since_an_open_episode_is_in_doubt() -> None:
    """While it has not ended, every later answer is in doubt."""
    story = Story(now=10.0)
    story.outages.declare(10.0)
    assert story.outages.touched(500.0, 500.1)
    assert story.outages.covers(10.0)
    assert not story.outages.covers(9.9)
