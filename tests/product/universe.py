"""The whole product in one process and in virtual time: the runner as it is shipped, the sandbox as it is shipped, and
between them a network that fails. One seed is one universe, crashes included.

A crash takes everything but the files of the journal, as they were at that moment: in the middle of any wait, just
before a request leaves, or just after. Nothing here waits for a thread or for the machine's clock. Times are UTC ns.
"""

import hashlib
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import trio
import trio.testing
from msgspec import Struct, field
from msgspec.structs import replace
from trio._core import _run as scheduler

from runner.altmarkets.server import Server
from runner.config.read import read
from runner.config.spec import RunSpec
from runner.edge.clock import Clock
from runner.edge.places import JOURNAL_FILE
from runner.edge.sandbox import Doors
from runner.model.order import Side
from runner.model.settings import SECOND
from runner.run.ends import CannotRun
from runner.run.machine import Machine
from runner.run.start import Options, run
from runner.simulation.crowd import Temper
from runner.simulation.dice import Dice, seed_state
from runner.simulation.faults import switch_text
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.sandbox import open_account, sandbox
from tests.product.laws import Truth, broken, revived
from tests.product.network import FAIR, Network, Tally, Weather

START = 1_700_000_000 * SECOND
HOST = "127.0.0.1:8080"

STRATEGY = f"""\
version: 1
name: universe
connector:
  type: altmarkets
  venue: {{rest_url: 'http://{HOST}/api/v2/peatio', stream_url: 'ws://{HOST}/api/v2/ranger'}}
markets: [ROGER-BTC]
strategy:
  use: pure_market_making
  params:
    bid_spread: 6bps
    ask_spread: 6bps
    order_amount: 500 ROGER
    order_levels: 2
    order_level_spread: 10bps
    order_refresh_time: 4s
    order_refresh_tolerance_pct: 2bps
tick: {{every: 1s, when: [book, fill], at_most_every: 250ms}}
risk: {{max_open_orders: 8}}
run: {{on_stop: cancel}}
"""

CROWD = Temper(rate=2.0, takers=0.2, volatility=6e-4, orders=30)
"""Calm enough to be cheap, busy enough to trade with us all the time."""

LASTING = (
    "refuse=403,chance=0.2",
    "refuse=429,chance=0.2",
    "refuse=503,chance=0.3",
    "lost=cut,chance=0.3,on=any",
    "lost=hang,chance=0.3,on=signed",
    *(f"answer={what},chance=0.3" for what in ("cut", "hang", "500", "502", "503", "504", "422", "429", "html")),
    "answer=garbage,chance=0.3,on=signed",
    "answer=cut,chance=0.3,on=cancel",
    "twice=first,chance=0.2",
    "twice=second,chance=0.2",
    "auth_delay=3s,chance=0.3",
    "auth_delay=6s,chance=0.3",
    "act_delay=8s,chance=0.3",
    "act_delay=20s,chance=0.2",
    "answer_delay=700ms",
    "answer_delay=6s,on=signed,chance=0.3",
    "rate_limit=20/12s",
    "lists_lag=4s",
    "lists_shift",
    "lists_unfiltered",
    *(f"client_id={how}" for how in ("null", "cut", "lower")),
    "human_twin,chance=0.3",
    "numbers",
    "extra_fields",
    "reject,chance=0.4",
    "pending_stuck=20s,chance=0.3",
    "pending_cancels_lost",
    "cancels_lost,chance=0.5",
    "cancel_delay=4s",
    "lose_private=any,chance=0.5",
    "duplicate_private",
    "reorder_private=900ms",
    "nested_increments",
    "json_ping=3s",
)
MOMENTS = (
    "sequence_gap",
    "drop_private",
    "drop_public",
    "half_open=private",
    "half_open=public",
    "stream_restart",
    "engine_restart",
    "clock_jump=+2s",
    "deposit=0.25 BTC",
    "fees=0.001/0.002",
    "two_trades",
)
WEATHERS = (
    FAIR,
    Weather(latency=(0.05, 0.4)),
    Weather(slow=0.05),
    Weather(request_lost=0.03),
    Weather(answer_lost=0.03),
    Weather(cut=0.5, refused=0.2),
    Weather(stall=0.4),
    Weather(slow=0.03, request_lost=0.02, answer_lost=0.02, cut=0.2, stall=0.1, refused=0.05),
)


class Outcome(Struct):
    """What became of a universe. `violations` are laws that did not hold, in words; `digest` is of all its journal."""

    seed: str
    simulated_s: float = 0.0
    lives: int = 0
    crashes: int = 0
    exits: list[int] = field(default_factory=list)
    creates: int = 0
    ambiguous: int = 0
    fills: int = 0
    exchange_faults: int = 0
    network_faults: int = 0
    violations: list[str] = field(default_factory=list)
    digest: str = ""


def universe(seed: str, folder: Path, *, minutes: float = 7.0) -> Outcome:
    """Live through one universe, its files below an empty `folder`. The same seed is the same outcome."""
    with _scheduled_by(seed):
        return trio.run(_Universe(seed, folder, minutes).live, clock=trio.testing.MockClock(autojump_threshold=0))


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder; in memory where there is such a place, because a sync to a disk is most of the cost."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@contextmanager
def _scheduled_by(seed: str) -> Iterator[None]:
    """Let trio choose among its ready tasks by the seed: its own way of being tested, otherwise by its own dice."""
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    scheduler._r.seed(seed)
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before[0]  # type: ignore[misc]
        scheduler._r.setstate(before[1])


class _Universe:
    def __init__(self, seed: str, folder: Path, minutes: float) -> None:
        self.outcome = Outcome(seed)
        self.folder = folder
        self.length = int(minutes * 60 * SECOND)
        self.dice = Dice(seed_state("universe", seed))
        self.chance = random.Random(seed)  # the runner's own
        self.tallies: list[Tally] = []
        self.weather = FAIR
        # Half of the runs end in fair weather, the others in whatever there is.
        self.fair_from = self.length - 90 * SECOND if self.dice.below(2) else self.length + 60 * SECOND
        listings = SANDBOX_LISTINGS[:1]
        grown = sandbox(seed, START, listings=listings, temper=CROWD)
        self.exchange = grown.exchange
        key = grown.key
        neighbour = open_account(self.exchange, seed, "neighbour", {"ROGER": Decimal(1000), "BTC": Decimal(1)})
        market, price = listings[0].market, listings[0].price
        for member in (grown.trader.id, neighbour.member):
            for side, factor in ((Side.BUY, Decimal("0.5")), (Side.SELL, Decimal(2))):
                self.exchange.create(member, market, side, Decimal(100), price * factor, at_once=True)
        self.truth = Truth(self.exchange, grown.trader.id)
        self.server = Server(self.exchange)
        self.environment = {
            "RUNNER_STATE_DIR": str(folder / "state"),
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
            "ALTMARKETS_API_KEY": key.access,
            "ALTMARKETS_SECRET_KEY": key.secret,
        }
        # Half of the accounts are declared to be ours alone, whether their human keeps to it or not.
        self.exclusive = bool(Dice(seed_state("exclusive", seed)).below(2))
        overrides = [f"connector.exclusive={str(self.exclusive).lower()}"]
        spec = read(STRATEGY, file="universe.yml", overrides=overrides)
        assert isinstance(spec, RunSpec), spec
        self.spec = spec
        self._plan_faults()

    def _plan_faults(self) -> None:
        at = 10 * SECOND
        jumped = False
        while (at := at + int(self.dice.between(2, 40) * SECOND)) < min(self.fair_from, self.length):
            self.outcome.exchange_faults += 1
            if self.dice.below(3):
                lasts = min(int(self.dice.between(5, 45)), (self.fair_from - at) // SECOND)
                text = f"{self.dice.choice(LASTING)},for={max(1, lasts)}s"
            else:
                text = self.dice.choice(MOMENTS)
                text = "drop_private" if jumped and text.startswith("clock_jump") else text
                jumped = jumped or text.startswith("clock_jump")
            self.exchange.faults.plan(START + at, switch_text(text))

    @property
    def now(self) -> int:
        return START + _elapsed()

    async def live(self) -> Outcome:
        clock = Clock(START)
        doors = Doors(self.server, clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(doors.keep_time)
            tasks.start_soon(self._climate)
            end = START + self.length
            while not self._is_over(await self._live_once(doors, tasks, end - self.now, mortal=True)):
                await anyio.sleep(self.dice.choice((0.1, 1.0, 5.0, 20.0)))
                if self.now >= end:
                    break
            await anyio.sleep(max(0.0, (START + self.fair_from - self.now) / SECOND))
            self.weather = FAIR
            for _ in range(3):  # what a run could not prove, the next one can
                if self.outcome.exits and self.outcome.exits[-1] == 0:
                    break
                await anyio.sleep(10)
                await self._live_once(doors, tasks, 30 * SECOND, mortal=False)
            tasks.cancel_scope.cancel()
        self._judge()
        return self.outcome

    def _is_over(self, exit_code: int | None) -> bool:
        return exit_code is not None and exit_code != 5

    async def _climate(self) -> None:
        while True:
            await anyio.sleep(self.dice.between(5, 60))
            self.weather = self.dice.choice(WEATHERS) if _elapsed() < self.fair_from else FAIR
            if self.networks:
                self.networks[-1].weather = self.weather

    # A life ----------------------------------------------------------------------------------------------

    networks: list[Network]

    async def _live_once(self, doors: Doors, tasks: Any, run_for: int, *, mortal: bool) -> int | None:
        """One life of the runner: its exit code, None for a crash."""
        self.outcome.lives += 1
        network = Network(doors.welcome, tasks, Dice(seed_state("network", self.outcome.seed, self.outcome.lives)))
        network.weather = self.weather
        self.networks = [network]
        self.tallies.append(network.tally)
        skew = int(self.dice.between(-1.5, 1.5) * SECOND) if not self.dice.below(4) else 0
        machine = Machine(
            connect=network.connect,
            wall=lambda: self.now + skew,
            monotonic=lambda: 10**15 + _elapsed(),
            dice=self.chance,
            signals=False,
        )
        death = _Death(self.folder / "state", network)
        if mortal:
            if self.dice.below(2):
                tasks.start_soon(death.after, self.dice.exponential() * 60)
            else:
                death.crossings = 1 + self.dice.below(300)
                network.at_each_send(death.crossing)
        exit_code: int | None = None
        with death.scope:
            try:
                spec = replace(self.spec, run_for=run_for)
                exit_code = (await run(spec, Options(), self.environment, machine)).exit_code
            except CannotRun as problem:
                exit_code = problem.exit_code
            except Exception as error:  # noqa: BLE001 - the strongest violation of all, and told with the others
                exit_code = 1
                self.outcome.violations.append(f"it raised {_innermost(error)!r}")
        death.over = True
        if death.came:
            self.outcome.crashes += 1
            death.restore()
            return None
        assert exit_code is not None
        self.outcome.exits.append(exit_code)
        return exit_code

    # The end ---------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        out = self.outcome
        out.simulated_s = round(_elapsed() / SECOND, 1)
        (journal,) = (self.folder / "state").rglob(JOURNAL_FILE)
        sent: dict[str, int] = {}
        for tally in self.tallies:
            for name, count in tally.creates.items():
                sent[name] = sent.get(name, 0) + count
        out.creates, out.network_faults = sum(sent.values()), sum(tally.faults for tally in self.tallies)
        strange = sorted(set(out.exits) - {0, 5, 7})
        out.violations += [f"exit code {code}" for code in strange]
        if out.exits[-1:] != [0]:
            out.violations.append(f"in fair weather it does not come to exit 0: {out.exits}")
        quiet = out.exits[-1:] == [0]
        out.violations += broken(self.truth, journal, sent, quiet=quiet, exclusive=self.exclusive)
        if out.exits[-1:] == [0]:
            # Alone for a day: whatever is still on its way has had its time.
            self.server.advance(self.now + 24 * 3600 * SECOND)
            out.violations += revived(self.truth)
        with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as connection:
            out.ambiguous = _one(
                connection, "SELECT count(DISTINCT client_id) FROM order_history WHERE state='unknown'"
            )
            out.fills = _one(connection, "SELECT count(*) FROM fills")
            rows = "\n".join(connection.iterdump()).replace(f'"pid":{os.getpid()}', '"pid":0')
            out.digest = hashlib.sha256(rows.encode()).hexdigest()


class _Death:
    """How a life ends before its time. What is on the disk at that moment is all that remains."""

    def __init__(self, state: Path, network: Network) -> None:
        self.scope = anyio.CancelScope()
        self.came = False
        self.over = False
        self.crossings = 0
        self._state = state
        self._network = network
        self._remains: Mapping[Path, bytes] = {}

    async def after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self.come()

    def crossing(self) -> None:
        self.crossings -= 1
        if self.crossings == 0:
            self.come()

    def come(self) -> None:
        if self.came or self.over:
            return
        self.came = True
        # The index of the log (-shm) is memory that is shared between processes: it goes as they do.
        files = [path for path in self._state.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
        self._remains = {path: path.read_bytes() for path in files}
        self._network.die()
        self.scope.cancel()

    def restore(self) -> None:
        """Undo what the dying wrote while it was being cancelled: a dead process writes nothing."""
        shutil.rmtree(self._state, ignore_errors=True)
        for path, content in self._remains.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _elapsed() -> int:
    return round(trio.current_time() * SECOND)


def _one(connection: sqlite3.Connection, query: str) -> int:
    (value,) = connection.execute(query).fetchone()
    return int(value)
