"""A paper run, whole: on real sockets, and in virtual time over a network that fails.

What must hold: nothing is ordered at the venue, the engine's books are the account's to the last digit, and the record
of the run says the same again.
"""

from decimal import Decimal
from pathlib import Path

import anyio
import pytest
import trio
import trio.testing
from loopback.line import journal_in, run_here, strategy_text, venue
from msgspec import Struct, structs

from runner.altmarkets.server import Server
from runner.cli.main import group
from runner.config.read import read
from runner.config.spec import RunSpec
from runner.edge.clock import Clock
from runner.edge.sandbox import Doors
from runner.model.event import BalanceNews, BalancesRead, BookGap, Event, TradeNews
from runner.model.money import MONEY
from runner.model.paper import PaperModels
from runner.model.settings import MILLISECOND, SECOND
from runner.run.ends import CannotRun
from runner.run.glance import Wish
from runner.run.machine import Machine
from runner.run.paper import as_recorded
from runner.run.plan import plan
from runner.run.replay import open_record, replay, strategy_of
from runner.run.start import Ended, Options, run
from runner.simulation.crowd import Temper
from runner.simulation.dice import Dice, seed_state
from runner.simulation.exchange import Exchange
from runner.simulation.faults import switch_text
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.record import steps
from runner.simulation.round_trips import round_trips
from runner.simulation.sandbox import sandbox
from tests.product.network import FAIR, Network, Tally, Weather

SLACK = 10 * MILLISECOND
START = 1_700_000_000 * SECOND
HOST = "127.0.0.1:8080"
BEGINS = {"BTC": Decimal(1), "ROGER": Decimal(50_000)}
PAPER = "balances: {BTC: 1, ROGER: 50000}, latency: {order: 10ms to 40ms}"
EMBEDDED = f"{{type: altmarkets_paper, venue: sandbox, seed: 1, paper: {{{PAPER}}}}}"
URLS = f"{{rest_url: 'http://{HOST}/api/v2/peatio', stream_url: 'ws://{HOST}/api/v2/ranger'}}"
SIMULATED = f"{{type: altmarkets_paper_trade, venue: {URLS}, paper: {{{PAPER}}}}}"
STRATEGIES = Path(__file__).parents[2] / "strategies"
CROWD = Temper(rate=2.0, takers=0.2, volatility=6e-4, orders=30)


# On real sockets ------------------------------------------------------------------------------------------


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_run_on_the_embedded_sandbox_ends_with_its_results_and_its_models(tmp_path: Path) -> None:
    ended = await run_here(strategy_text(EMBEDDED, run_for="3s"), tmp_path)
    facts = ended.summary
    assert (ended.exit_code, facts["stopped_by"], facts["open_orders_left"]) == (0, "time", 0)
    assert facts["orders"]["placed"] == facts["orders"]["filled"] + facts["orders"]["cancelled"] > 0
    assert facts["model"].startswith("paper: queue risk_averse, latency 10 ms to 40 ms for orders")
    assert ended.text.startswith("model      paper: queue risk_averse")
    assert max(map(len, ended.text.splitlines())) <= 80
    assert journal_in(tmp_path).parent.parent.name == "paper"


@pytest.mark.anyio
async def test_a_venue_by_its_urls_needs_neither_key_nor_live(tmp_path: Path) -> None:
    async with venue() as (opened, exchange):
        urls = f"{{rest_url: '{opened.rest_url}', stream_url: '{opened.stream_url}'}}"
        text = strategy_text(f"{{type: altmarkets_paper, venue: {urls}, paper: {{{PAPER}}}}}", run_for="1s")
        ended = await run_here(text, tmp_path)
        assert (ended.exit_code, ended.summary["orders"]["placed"] > 0) == (0, True)
        assert nothing_was_ordered(exchange)


@pytest.mark.anyio
async def test_plan_shows_the_first_tick_of_a_fresh_account(tmp_path: Path) -> None:
    spec = spec_of(strategy_text(EMBEDDED))
    planned = await plan(spec, Wish(), {"RUNNER_STATE_DIR": str(tmp_path)})
    assert planned.venue == "paper account at sandbox (seed 1)"
    assert [row.do for row in planned.orders].count("create") > 0
    assert not list(tmp_path.rglob("journal.sqlite3"))


@pytest.mark.parametrize(
    ("command", "code"), [("orders", 2), ("balance", 2), ("trades", 2), ("settle", 2), ("status", 10)]
)
def test_what_needs_an_account_at_the_venue_says_that_there_is_none(
    command: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "paper.yml"
    file.write_text(strategy_text(EMBEDDED))
    with pytest.raises(SystemExit) as caught:
        group([command, str(file)])
    assert caught.value.code == code
    said = capsys.readouterr().err
    assert ("paper account" in said) == (code == 2)


# In virtual time ------------------------------------------------------------------------------------------


class Told(Struct):
    """What became of a simulated run."""

    ended: Ended
    events: tuple[Event, ...]
    exchange: Exchange
    tally: Tally


def spec_of(text: str, *overlays: Path, sets: tuple[str, ...] = ()) -> RunSpec:
    layers = [(str(path), path.read_bytes()) for path in overlays]
    found = read(text, file="paper.yml", overlays=layers, overrides=sets)
    assert isinstance(found, RunSpec), "\n".join(map(str, found))
    return found


def nothing_was_ordered(exchange: Exchange) -> bool:
    trader = next(member for member in exchange.members.values() if member.name == "trader")
    return not exchange.database.orders_of(trader.id)


def simulated(
    state: Path,
    spec: RunSpec | None = None,
    *,
    weather: Weather = FAIR,
    minutes: float = 1.0,
    faults: tuple[tuple[float, str], ...] = (),
) -> Told:
    """A run over a network in memory; `faults`: after so many seconds this befalls the exchange."""

    async def live() -> Told:
        grown = sandbox("paper", START, listings=SANDBOX_LISTINGS[:1], temper=CROWD)
        for after, text in faults:
            grown.exchange.faults.plan(START + int(after * SECOND), switch_text(text))
        doors = Doors(Server(grown.exchange), Clock(START))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(doors.keep_time)
            network = Network(doors.welcome, tasks, Dice(seed_state("paper network")))
            network.weather = weather
            machine = Machine(
                connect=network.connect,
                wall=lambda: START + int(trio.current_time() * SECOND),
                monotonic=lambda: 10**15 + int(trio.current_time() * SECOND),
                signals=False,
            )
            chosen = structs.replace(spec or spec_of(strategy_text(SIMULATED)), run_for=int(minutes * 60 * SECOND))
            ended = await run(chosen, Options(), {"RUNNER_STATE_DIR": str(state)}, machine)
            tasks.cancel_scope.cancel()
        events = tuple(entry.event for entry in open_record(ended.summary["run"], {"RUNNER_STATE_DIR": str(state)}))
        return Told(ended, events, grown.exchange, network.tally)

    return trio.run(live, clock=trio.testing.MockClock(autojump_threshold=0))


def held(events: tuple[Event, ...]) -> dict[str, Decimal]:
    """What the account said last that it holds."""
    rows: dict[str, Decimal] = {}
    for event in events:
        match event.what:
            case BalancesRead(rows=read):
                rows |= {row.currency: MONEY.add(row.available, row.locked) for row in read}
            case BalanceNews(row):
                rows[row.currency] = MONEY.add(row.available, row.locked)
    return rows


def agrees(told: Told, begins: dict[str, Decimal] = BEGINS) -> None:
    """Ledger and account, to the last digit; and nothing of it at the venue."""
    position = {currency: Decimal(amount) for currency, amount in told.ended.summary["position"].items()}
    assert held(told.events) == {currency: MONEY.add(begins[currency], position[currency]) for currency in begins}
    assert nothing_was_ordered(told.exchange)
    assert not told.tally.creates


def test_the_books_of_the_engine_are_those_of_the_account(tmp_path: Path) -> None:
    told = simulated(tmp_path)
    assert (told.ended.exit_code, told.ended.summary["open_orders_left"]) == (0, 0)
    assert told.ended.summary["fills"] > 5
    agrees(told)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(STRATEGIES.glob("*.yml")), ids=lambda path: path.stem)
def test_a_bundled_file_trades_on_paper_as_it_is(path: Path, tmp_path: Path) -> None:
    overlay = STRATEGIES / "overlays" / "paper.yml"
    spec = spec_of(path.read_text(), overlay, sets=(f"connector.venue={URLS}",))
    assert spec.connector.paper is not None
    told = simulated(tmp_path, spec, minutes=2.0)
    assert told.ended.exit_code == 0
    assert told.ended.summary["orders"]["placed"] > 0
    agrees(told, spec.connector.paper.balances)


def test_the_record_of_a_paper_run_says_the_same_again(tmp_path: Path) -> None:
    told = simulated(tmp_path, minutes=0.5)
    record = open_record(told.ended.summary["run"], {"RUNNER_STATE_DIR": str(tmp_path)})
    again = replay(record, strategy_of(record.header))
    assert (again.difference, again.damage) == (None, None)
    assert again.placed == told.ended.summary["orders"]["placed"] > 0


def test_latency_may_be_that_of_a_recorded_run(tmp_path: Path) -> None:
    first = simulated(tmp_path / "first", minutes=0.3)
    run_id, environment = first.ended.summary["run"], {"RUNNER_STATE_DIR": str(tmp_path / "first")}
    trips = round_trips(steps(open_record(run_id, environment)))
    # Half of an evenly drawn 10 to 40 ms and the constant 50 ms, with the 20 ms of the news folded in.
    assert len(trips.creates) == first.ended.summary["orders"]["placed"]
    assert all(30 * MILLISECOND <= each < 60 * MILLISECOND + SLACK for each in trips.creates)
    assert all(70 * MILLISECOND <= each < 70 * MILLISECOND + SLACK for each in trips.cancels)
    assert trips.cancels
    models = as_recorded(PaperModels(recorded=run_id), environment)
    assert models.order.samples == tuple(each // 2 for each in trips.creates)
    assert f"latency as in run {run_id}" in str(models)
    with pytest.raises(CannotRun, match="there is no record of nobody"):
        as_recorded(PaperModels(recorded="nobody"), environment)


def test_orders_stay_where_they_are_while_the_line_is_cut_and_nobody_is_filled(tmp_path: Path) -> None:
    told = simulated(tmp_path, faults=((15.0, "drop_public"), (30.0, "sequence_gap")))
    gaps = [event for event in told.events if isinstance(event.what, BookGap)]
    assert gaps
    assert all("no paper order is filled until the next snapshot" in event.what.reason for event in gaps)  # type: ignore[union-attr]
    agrees(told)
    assert told.ended.exit_code == 0


@pytest.mark.slow
def test_a_bad_network_costs_news_and_never_money(tmp_path: Path) -> None:
    weather = Weather(slow=0.03, request_lost=0.05, answer_lost=0.05, cut=0.9, stall=0.3, refused=0.1)
    told = simulated(tmp_path, weather=weather, minutes=3.0)
    assert told.tally.faults > 3
    assert told.ended.exit_code == 0
    agrees(told)


def test_the_same_seed_is_the_same_run(tmp_path: Path) -> None:
    first, second = (simulated(tmp_path / name, minutes=0.5) for name in ("first", "second"))
    trades = [[event.what for event in told.events if isinstance(event.what, TradeNews)] for told in (first, second)]
    assert trades[0] == trades[1] != []
