import anyio
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from runner.edge.clock import Clock
from runner.model.settings import SECOND

NOON = 1_700_000_000 * SECOND


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_reads_the_wall_clock_once_and_then_counts() -> None:
    clock = Clock(NOON)
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(readings)
    assert readings[0] >= NOON
    assert readings[-1] < NOON + 60 * SECOND


@given(jumps=st.lists(st.floats(min_value=1e-9, max_value=1e5), max_size=20), start=st.integers(0, 4 * 10**18))
def test_follows_the_loop_and_never_goes_back(jumps: list[float], start: int) -> None:
    mock = MockClock()

    async def main() -> None:
        clock = Clock(start)
        before, elapsed = clock.now(), 0.0
        assert before == start
        for jump in jumps:
            mock.jump(jump)
            elapsed += jump
            now = clock.now()
            assert now >= before
            assert abs(now - start - elapsed * SECOND) <= 1000  # floats of seconds, microseconds after a week
            before = now

    trio.run(main, clock=mock)


@given(ahead=st.integers(-(10**12), 10**15), start=st.integers(10**18, 2 * 10**18))
def test_sleeps_until_the_clock_reads_that_much(ahead: int, start: int) -> None:
    async def main() -> None:
        clock = Clock(start)
        await clock.sleep_until(start + ahead)
        late = clock.now() - max(start, start + ahead)
        assert 0 <= late <= 1000

    trio.run(main, clock=MockClock(autojump_threshold=0))


@given(ahead=st.integers(-(10**12), 10**15))
def test_a_deadline_is_the_same_moment_in_the_loops_time(ahead: int) -> None:
    async def main() -> None:
        clock = Clock(NOON)
        with anyio.CancelScope(deadline=clock.deadline(NOON + ahead)) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert abs(clock.now() - max(NOON, NOON + ahead)) <= 1000

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_the_venues_clock_is_ours_plus_the_offset() -> None:
    async def main() -> None:
        clock = Clock(NOON)
        assert clock.venue_ms() == 1_700_000_000_000
        clock.offset_ns = -2 * SECOND - 1
        assert clock.venue_ms() == 1_699_999_997_999
        assert clock.now() == NOON  # the offset is the venue's affair

    trio.run(main, clock=MockClock())
