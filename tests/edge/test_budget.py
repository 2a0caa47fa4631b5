import anyio
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.model.settings import SECOND

# (nanoseconds later, what): take with a reserve, or hold for so long.
STEPS = st.lists(
    st.tuples(st.integers(0, 12), st.one_of(st.integers(0, 2), st.tuples(st.just("hold"), st.integers(0, 30)))),
    max_size=60,
)


@given(requests=st.integers(1, 5), per_ns=st.integers(1, 20), steps=STEPS)
def test_never_more_than_so_many_in_any_stretch_and_never_fewer_than_allowed(
    requests: int, per_ns: int, steps: list[tuple[int, int | tuple[str, int]]]
) -> None:
    bucket, now, taken, held_until = Bucket(requests, per_ns), 0, [], 0
    for later, what in steps:
        now += later
        if isinstance(what, tuple):
            bucket.hold_until(now + what[1])
            held_until = max(held_until, now + what[1])
            continue
        in_stretch = sum(time >= now - per_ns for time in taken)
        allowed = now >= held_until and requests - in_stretch > what
        assert bucket.free(now) == (requests - in_stretch if now >= held_until else 0)
        assert bucket.take(now, reserve=what) == allowed
        if allowed:
            taken.append(now)
    for begin in taken:
        assert sum(begin <= time <= begin + per_ns for time in taken) <= requests


@given(requests=st.integers(1, 5), per_ns=st.integers(1, 20), steps=STEPS)
def test_refill_is_the_first_moment_with_more(
    requests: int, per_ns: int, steps: list[tuple[int, int | tuple[str, int]]]
) -> None:
    bucket, now = Bucket(requests, per_ns), 0
    for later, what in steps:
        now += later
        if isinstance(what, tuple):
            bucket.hold_until(now + what[1])
        else:
            bucket.take(now, reserve=what)
    free, refill_at = bucket.free(now), bucket.refill_at(now)
    if refill_at == now:
        assert free == requests
    else:
        assert bucket.free(refill_at - 1) == free
        assert bucket.free(refill_at) > free


def test_the_venues_figures_are_the_default() -> None:
    bucket = Bucket()
    assert [bucket.take(0) for _ in range(31)] == [True] * 30 + [False]
    assert bucket.free(12 * SECOND) == 0
    assert bucket.free(12 * SECOND + 1) == 30


def test_a_bucket_that_lets_nothing_out_is_refused() -> None:
    with pytest.raises(ValueError, match="never lets one out"):
        Bucket(0)


def test_waiting_takes_as_soon_as_one_is_free_and_leaves_the_reserve() -> None:
    async def main() -> None:
        clock = Clock(0)
        bucket = Bucket(3, 10 * SECOND)
        for _ in range(3):
            await bucket.wait(clock)
        assert clock.now() < SECOND
        with anyio.fail_after(10.001):
            await bucket.wait(clock, reserve=2)
        assert 10 * SECOND <= clock.now() <= 10 * SECOND + 1000
        assert bucket.free(clock.now()) == 2
        bucket.hold_until(60 * SECOND)
        await bucket.wait(clock)
        assert clock.now() >= 60 * SECOND

    trio.run(main, clock=MockClock(autojump_threshold=0))
