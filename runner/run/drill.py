"""`runner drill`: trip every latch of a file for real, on sandboxes of its own, and look at what is left there.

Each limit is a whole run: the file's strategy and what it does `on_breach`, an exchange of our own, and something that
has to make the limit fall: a loss of any size, markets that refuse every order, an exchange that answers 503. What
counts is the exchange's own truth after the run has ended.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from msgspec import Struct, structs

from runner.altmarkets.server import Server
from runner.config.spec import Connector, Deployment, RunSpec
from runner.edge.clock import Clock
from runner.edge.places import JOURNAL_FILE
from runner.edge.sandbox import sandbox
from runner.model.exits import Exit
from runner.model.latch import Latch
from runner.model.market import Market
from runner.model.money import MONEY, ZERO, plain
from runner.model.settings import SECOND, Limits
from runner.report.tables import Column, Row, Table
from runner.run.archive import reading
from runner.run.ends import CannotRun
from runner.run.start import Ended, Options, run
from runner.simulation.exchange import Exchange
from runner.simulation.faults import switch_text
from runner.simulation.markets import SANDBOX_BALANCES
from runner.simulation.sandbox import Sandbox
from runner.simulation.sandbox import sandbox as grow

CALM = 4 * SECOND  # before anything goes wrong: the strategy has its orders in the book by then
IN_A_ROW = 3  # refusals or errors, where the file sets no limit

_COLUMNS = (
    Column("limit", "limit"),
    Column("set_to", "set to"),
    Column("fell", "fell after"),
    Column("does", "did"),
    Column("placed", "placed", right=True),
    Column("left", "left there", right=True),
    Column("position", "position", right=True),
    Column("exit", "exit", right=True),
    Column("verdict", "verdict"),
)


class Drilled(Struct, frozen=True):
    """`passed`: every latch fell, and did what the file says."""

    table: Table
    passed: bool
    notes: tuple[str, ...]


class _Case(Struct, frozen=True):
    """One limit, how the file is changed for it, and what goes wrong at the exchange, `CALM` after the start."""

    limit: str
    set_to: str
    limits: Limits
    faults: tuple[tuple[int, str], ...] = ()  # ns after the start, fault


def cases(spec: RunSpec, quotes: tuple[str, ...]) -> tuple[_Case, ...]:
    """What there is to drill for a file whose markets have these quote currencies."""
    limits = structs.replace(spec.settings.limits, resume="manual", resume_after=None)
    if limits.on_breach == "reject":  # there is no latch to trip
        return ()
    nothing = dict.fromkeys(quotes, ZERO)
    at_once = structs.replace(limits, loss_persists=0, max_daily_loss={}, max_drawdown={})
    rejects = limits.max_consecutive_rejects or IN_A_ROW
    errors = limits.max_consecutive_errors or IN_A_ROW
    refusing = tuple((CALM, f"disable_market={symbol.lower().replace('-', '')}") for symbol in spec.settings.markets)
    return (
        _Case("max_daily_loss", "0", structs.replace(at_once, max_daily_loss=nothing)),
        _Case("max_drawdown", "0", structs.replace(at_once, max_drawdown=nothing)),
        _Case(
            "max_consecutive_rejects",
            str(rejects),
            structs.replace(limits, max_consecutive_rejects=rejects),
            (*refusing, *((CALM + (1 + 5 * number) * SECOND, "human_cancel") for number in range(10))),
        ),
        _Case(
            "max_consecutive_errors",
            str(errors),
            structs.replace(limits, max_consecutive_errors=errors),
            ((CALM, "human_cancel"), (CALM, "refuse=503,for=15s")),
        ),
    )


async def drill(spec: RunSpec, within_s: float, told: Callable[[str], None]) -> Drilled:
    """All cases at once, each for `within_s` at the most. Raises CannotRun (3) for markets that no sandbox has."""
    listed = {market.symbol: market for market in grow("drill", Clock().now()).exchange.markets}
    for symbol in spec.settings.markets:
        if symbol not in listed:
            raise CannotRun(Exit.CONFIG, f"{spec.file}: the sandbox has no market {symbol}: {', '.join(listed)}")
    quotes = tuple(dict.fromkeys(listed[symbol].quote for symbol in spec.settings.markets))
    chosen = cases(spec, quotes)
    rows: dict[str, Row] = {}
    notes: list[str] = []

    async def one(case: _Case) -> None:
        rows[case.limit], note = await _drill(spec, case, within_s)
        if note:
            notes.append(f"{case.limit}: {note}")
        told(f"{case.limit}: {rows[case.limit]['verdict']}")

    async with anyio.create_task_group() as tasks:
        for case in chosen:
            tasks.start_soon(one, case)
    ordered = tuple(rows[case.limit] for case in chosen)
    table = Table(_COLUMNS, ordered, "on_breach: reject sets no latch, so there is nothing to trip")
    return Drilled(table, all(row["verdict"] == "ok" for row in ordered), tuple(notes))


async def _drill(spec: RunSpec, case: _Case, within_s: float) -> tuple[Row, str]:
    clock = Clock()
    grown = grow(f"drill {case.limit}", clock.now())
    with TemporaryDirectory(prefix="runner-drill-") as folder:
        async with sandbox(Server(grown.exchange), clock=clock) as doors:
            for after, fault in case.faults:
                grown.exchange.faults.plan(clock.now() + after, switch_text(fault))
            drilled = structs.replace(
                spec,
                settings=structs.replace(spec.settings, limits=case.limits, on_stop="cancel"),
                connector=Connector(Deployment(doors.rest_url, doors.stream_url), rate_limit=spec.connector.rate_limit),
                run_for=int(within_s * SECOND),
            )
            environment = {
                "RUNNER_STATE_DIR": folder,
                "ALTMARKETS_API_KEY": grown.key.access,
                "ALTMARKETS_SECRET_KEY": grown.key.secret,
            }
            began = clock.now()
            ended = await run(drilled, Options(), environment)
        latch = _latch(Path(folder), case.limit)
    return _row(case, spec, ended, latch, grown, began)


def _latch(folder: Path, name: str) -> Latch | None:
    (journal,) = folder.rglob(JOURNAL_FILE)
    with reading(journal.parent) as opened:
        return next((latch for latch in opened.restore().latches if latch.name == name), None)


def _row(case: _Case, spec: RunSpec, ended: Ended, latch: Latch | None, grown: Sandbox, began: int) -> tuple[Row, str]:
    exchange, member = grown.exchange, grown.trader.id
    left = sum(not order.state.terminal for order in exchange.database.orders_of(member))
    verdict, note = _verdict(case, ended, latch, left)
    row: Row = {
        "limit": case.limit,
        "set_to": case.set_to,
        "fell": None if latch is None else f"{(latch.since - began) / SECOND:.1f} s",
        "does": None if latch is None else latch.action,
        "placed": len(exchange.database.orders_of(member)),
        "left": left,
        "position": ", ".join(_held(exchange, member, market) for market in _markets(exchange, spec)),
        "exit": ended.exit_code,
        "verdict": verdict,
    }
    return row, note


def _verdict(case: _Case, ended: Ended, latch: Latch | None, left: int) -> tuple[str, str]:
    """In a word, and a sentence for the reader where there is more to say."""
    if latch is None:
        why = "the strategy asked for too little" if case.faults else "the strategy had no loss"
        return "did not fall", f"{why} in this time; the run ended with {ended.exit_code}: {ended.reason}"
    if latch.halts and ended.exit_code != Exit.RISK:
        return "wrong exit", ended.reason
    if left and latch.action != "halt":
        return "orders left", ended.reason
    return "ok", ended.reason if "not flattened" in ended.reason else ""


def _markets(exchange: Exchange, spec: RunSpec) -> list[Market]:
    return [market for market in exchange.markets if market.symbol in spec.settings.markets]


def _held(exchange: Exchange, member: int, market: Market) -> str:
    """How the account's balance of the base currency has changed, by its trades and their fees."""
    account = exchange.accounts.account(member, market.base)
    now = MONEY.add(account.available, account.locked)
    return f"{plain(MONEY.subtract(now, SANDBOX_BALANCES.get(market.base, ZERO)))} {market.base}"
