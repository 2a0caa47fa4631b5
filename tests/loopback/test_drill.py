"""Every latch is tripped on a real sandbox, and the exchange's own truth afterwards is what counts."""

from decimal import Decimal

import pytest
from loopback.line import spec_of, strategy_text

from runner.run.drill import Drilled, cases, drill

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


LIMITS = ["max_daily_loss", "max_drawdown", "max_consecutive_rejects", "max_consecutive_errors"]


async def drilled(text: str, within_s: float) -> Drilled:
    lines: list[str] = []
    done = await drill(spec_of(text), within_s, lines.append)
    assert len(lines) == len(done.table.rows)
    return done


async def test_every_latch_falls_cancels_and_flattens() -> None:
    done = await drilled(strategy_text().replace("risk: {", "risk: {on_breach: halt_and_flatten, "), 60)
    assert [row["limit"] for row in done.table.rows] == LIMITS
    assert done.passed, (done.table.rows, done.notes)
    for row in done.table.rows:
        assert (row["does"], row["left"], row["exit"]) == ("halt_and_flatten", 0, 6)
        position = Decimal(str(row["position"]).split(" ")[0])
        assert abs(position) < 2 or any(str(row["limit"]) in note for note in done.notes)


async def test_a_strategy_that_nobody_trades_with_has_nothing_to_lose() -> None:
    far = strategy_text().replace("spread: 5bps", "spread: 2%")
    done = await drilled(far, 12)
    told = {row["limit"]: row["verdict"] for row in done.table.rows}
    assert told["max_drawdown"] == "did not fall"
    assert not done.passed
    assert any("no loss" in note for note in done.notes)


def test_a_file_that_only_refuses_has_no_latch() -> None:
    spec = spec_of(strategy_text().replace("risk: {", "risk: {on_breach: reject, "))
    assert cases(spec, ("BTC",)) == ()
