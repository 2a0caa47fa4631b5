"""Public tapes out of what a run heard: the market as it was for everybody, without what was ours.

The public stream tells totals, ours included, and the private one tells of our orders a little sooner or later; no
number ties the two together. So each change of a level is explained by what happened around it: of the amounts of ours
that the level may have held within `AROUND`, the one that leaves the others as they were, or as trades between others
left them. A level where nothing of ours changed in that time has one such amount. Where no amount explains a change,
others moved together with us: what the private stream said last is taken, and the level is marked as tainted.

Volume that hit us stays on the tape as demand: a trade that says that no level shrinks by it. What we took from others
is not on it, and the level that it came from is tainted, because nobody can say how long it would have stood.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator

from msgspec import structs

from runner.model import event as events
from runner.model.event import Event, What
from runner.model.market import Market
from runner.model.order import OrderRow, Side, TradeRow
from runner.model.settings import SECOND
from runner.simulation.columns import Columns
from runner.simulation.recording import ASK, BID, BOUGHT, BOUGHT_FROM_OWN, SOLD, SOLD_TO_OWN, Gap, Recording, Taint

AROUND = SECOND // 4
"""ns: how far apart the two streams tell of the same thing. A venue batches its book for a tenth of a second, and a
socket may lag; the wider it is, the more changes have two explanations.
"""

Level = tuple[int, int]
"""Kind of row (`BID` or `ASK`) and ticks."""

_SIDE = {Side.BUY: BID, Side.SELL: ASK}
_HITS = {SOLD: BID, BOUGHT: ASK}
_HIT_OURS = {SOLD: SOLD_TO_OWN, BOUGHT: BOUGHT_FROM_OWN}


def tapes(heard: Iterable[Event]) -> dict[str, Recording]:
    """The public tape of each market that was heard of, by symbol; a market without a book has none."""
    listener = Listener()
    for event in heard:
        listener.hear(event)
    return listener.tapes()


class Listener:
    """Takes the events of a record one by one."""

    def __init__(self) -> None:
        self._markets: dict[str, _Market] = {}
        self._rows: dict[int, OrderRow] = {}  # our orders as last known
        self._own: defaultdict[str, _Own] = defaultdict(_Own)

    def hear(self, event: Event) -> None:
        what, time = event.what, event.time
        match what:
            case events.BookDelta() | events.BookSnapshot() | events.PublicTrade() if what.market in self._markets:
                self._markets[what.market].hear(time, what)
            case events.BookGap() if what.market in self._markets:
                self._markets[what.market].lost(time, what.reason)
            case events.StreamDown(stream="public"):
                for market in self._markets.values():
                    market.lost(time, f"the stream was down: {what.reason}")
            case events.MarketsRead():
                for each in what.markets:
                    self._markets.setdefault(each.symbol, _Market(each))
            case events.TradeNews():
                self._trade(what.row)
            case events.TradesListed():
                for trade in what.rows:
                    self._trade(trade)
            case _:
                for row in _orders(what):
                    self._order(time, row)

    def tapes(self) -> dict[str, Recording]:
        return {
            symbol: market.without(self._own[symbol]) for symbol, market in self._markets.items() if len(market.columns)
        }

    def _order(self, time: int, row: OrderRow) -> None:
        before = self._rows.get(row.id)
        if before is None or _later(row, before):
            self._rows[row.id] = row
            if row.ticks is not None:
                level = (_SIDE[row.side], row.ticks)
                change = _resting(row) - (0 if before is None else _resting(before))
                self._own[row.market].rest(level, time, change)
        for trade in row.trades or ():
            self._trade(trade)

    def _trade(self, row: TradeRow) -> None:
        self._own[row.market].trade(row)


class _Own:
    """What was ours in one market: how much rested at each level from when on, and which trades."""

    def __init__(self) -> None:
        self.steps: defaultdict[Level, list[tuple[int, int]]] = defaultdict(list)  # (time, lots from then on)
        self.trades: defaultdict[int, set[Side]] = defaultdict(set)  # trade id -> our sides in it
        self.taker_sides: dict[int, Side] = {}

    def rest(self, level: Level, time: int, change: int) -> None:
        steps = self.steps[level]
        if change:
            steps.append((time, (steps[-1][1] if steps else 0) + change))

    def trade(self, row: TradeRow) -> None:
        self.trades[row.id].add(row.side)
        self.taker_sides[row.id] = row.taker_side

    def took(self, trade: int) -> bool:
        """Whether it was us who came for it."""
        return self.taker_sides.get(trade) in self.trades.get(trade, ())


class _Market:
    """One market as everybody saw it: the rows of a recording, and the ids of its trades."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.columns = Columns()
        self.ids: dict[int, int] = {}  # of trades, by their row
        self._whole = False  # the book can be trusted
        self._gaps: list[Gap] = []
        self._seen: set[int] = set()
        self._left_out = self._frames = 0

    def hear(self, time: int, what: events.BookDelta | events.BookSnapshot | events.PublicTrade) -> None:
        if isinstance(what, events.BookSnapshot):
            self.columns.show(time, dict(what.bids), dict(what.asks))
            if not self._whole and self._gaps:
                self._gaps[-1] = structs.replace(self._gaps[-1], until=time)
            self._whole = True
        elif not self._whole:
            self._left_out += 1
        elif isinstance(what, events.BookDelta):
            self._frames += 1
            sides = ((BID, dict(what.bids)), (ASK, dict(what.asks)))
            self.columns.change(time, [(side, *level) for side, levels in sides for level in levels.items()])
        elif what.id not in self._seen:  # a stream that begins again may tell the latest trades twice
            self._seen.add(what.id)
            self.ids[len(self.columns)] = what.id
            self.columns.trade(time, BOUGHT if what.taker_side is Side.BUY else SOLD, what.ticks, what.lots)

    def lost(self, time: int, reason: str) -> None:
        if self._whole:
            self._whole = False
            self._gaps.append(Gap(len(self.columns), time, reason))

    def rows(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Time, kind, ticks and lots of each row, and the trade's id, zero for a level."""
        told = self.columns
        for row, each in enumerate(zip(told.times, told.kinds, told.ticks, told.lots, strict=True)):
            yield *each, self.ids.get(row, 0)

    def without(self, own: _Own) -> Recording:
        return _Remover(self, own).recording(self._gaps, self._frames, self._left_out)


class _Remover:
    """Walks over the rows of a market and writes them down without what was ours."""

    def __init__(self, heard: _Market, own: _Own) -> None:
        self._heard = heard
        self._own = own
        self._strangers = _strangers(heard, own)
        self._columns = Columns()  # its book is that of the others
        self._rows_at = array("q")  # rows written before each row that was heard: where gaps are then
        self._tainted: dict[Level, Taint] = {}

    def recording(self, gaps: Iterable[Gap], frames: int, left_out: int) -> Recording:
        for time, kind, ticks, lots, number in self._heard.rows():
            self._rows_at.append(len(self._columns))
            if kind in _HITS:
                self._trade(time, kind, ticks, lots, number)
            elif (kind, ticks) in self._own.steps:
                self._level(time, (kind, ticks), lots)
            else:
                self._columns.level(time, kind, ticks, lots)
        self._rows_at.append(len(self._columns))
        found = self._columns
        return Recording(
            market=self._heard.market,
            times=found.times,
            kinds=found.kinds,
            ticks=found.ticks,
            lots=found.lots,
            gaps=tuple(structs.replace(gap, row=self._rows_at[gap.row]) for gap in gaps),
            tainted=tuple(self._tainted.values()),
            frames=frames,
            trades=found.trades,
            left_out=left_out,
        )

    def _trade(self, time: int, kind: int, ticks: int, lots: int, number: int) -> None:
        if self._own.took(number):
            self._taint(time, (_HITS[kind], ticks), "we took from it")
            return
        self._columns.trade(time, _HIT_OURS[kind] if number in self._own.trades else kind, ticks, lots)

    def _level(self, time: int, level: Level, total: int) -> None:
        amounts = _around(self._own.steps[level], time)
        side, ticks = level
        before = self._columns.sides[side].get(ticks, 0)
        trades = self._strangers.get(level, _NO_TRADES)
        traded = trades.unexplained(time)
        for left in dict.fromkeys((before, before - traded)):
            if left >= 0 and total - left in amounts:
                trades.explain(before - left, time)
                self._columns.level(time, *level, left)
                return
        said = amounts[-1] if len(amounts) == 1 else _last(self._own.steps[level], time)
        fitting = [said, *reversed(amounts)]
        ours = next((amount for amount in fitting if amount <= total), total)
        if len(amounts) > 1:
            self._taint(time, level, "others changed it while our own order came or went")
        elif ours != said:
            self._taint(time, level, f"it held {total} lots where {said} were ours")
        trades.explain(traded, time)
        self._columns.level(time, *level, total - ours)

    def _taint(self, time: int, level: Level, reason: str) -> None:
        self._tainted.setdefault(level, Taint(len(self._columns), time, *level, reason))


class _Strangers:
    """Trades between others at one level, and how much of them a change of the level has explained."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.sums: list[int] = [0]  # lots of the first n trades
        self.explained = 0

    def add(self, time: int, lots: int) -> None:
        self.times.append(time)
        self.sums.append(self.sums[-1] + lots)

    def unexplained(self, time: int) -> int:
        """Lots of the trades up to a little after `time` that no change told of, the old ones left aside."""
        old = self.sums[bisect_left(self.times, time - AROUND)]
        return self.sums[bisect_right(self.times, time + AROUND)] - max(old, self.explained)

    def explain(self, lots: int, time: int) -> None:
        if lots:
            self.explained = self.sums[bisect_right(self.times, time + AROUND)]


_NO_TRADES = _Strangers()


def _strangers(heard: _Market, own: _Own) -> dict[Level, _Strangers]:
    found: defaultdict[Level, _Strangers] = defaultdict(_Strangers)
    for time, kind, ticks, lots, number in heard.rows():
        if kind in _HITS and number not in own.trades:
            found[_HITS[kind], ticks].add(time, lots)
    return dict(found)


# Our own orders -------------------------------------------------------------------------------------------


def _orders(what: What) -> Iterator[OrderRow]:
    """Every row of an order of ours that an event tells."""
    match what:
        case events.OrderNews() | events.Accepted():
            yield what.row
        case events.CancelAnswered() | events.OrderRead() if what.row is not None:
            yield what.row
        case events.OrdersListed():
            yield from what.rows
        case _:
            return


def _resting(row: OrderRow) -> int:
    """Lots of it in the venue's book."""
    return row.remaining_lots if row.state == "wait" else 0


def _later(row: OrderRow, before: OrderRow) -> bool:
    """Whether it is news: answers and lists may be older than what the stream has told."""
    return _age(row) > _age(before)


def _age(row: OrderRow) -> tuple[bool, int, bool]:
    return row.terminal, row.executed_lots, row.state == "wait"


def _last(steps: list[tuple[int, int]], time: int) -> int:
    """Lots that rested at `time`."""
    at = bisect_right(steps, (time, 2**63))
    return steps[at - 1][1] if at else 0


def _around(steps: list[tuple[int, int]], time: int) -> list[int]:
    """What may have rested there a little before or after `time`, oldest first, each amount once."""
    first = bisect_left(steps, (time - AROUND, -1))
    last = bisect_right(steps, (time + AROUND, 2**63))
    amounts = [_last(steps, time - AROUND - 1), *(lots for _, lots in steps[first:last])]
    return list(dict.fromkeys(amounts))
