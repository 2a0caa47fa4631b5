"""The fill kernel's arithmetic: a book, the queues of our orders in it, and what waits for its other half.

Functions over arrays of whole numbers and nothing else, so that numba can compile them as they stand (kernel.py); as
plain Python they do the same over the same memory. Whoever calls sees to it that rows fit (`fits`).

What a queue is. At each price with an order of ours stands what we believe of the recorded queue:

    queued = recorded - taken + held

`held` is the sum of what is waiting there. A decrease of the level that no trade has explained yet counts as still
there (above zero); a trade whose decrease the book has not shown yet counts as gone (below zero). So a trade and its
decrease are counted once, whichever is told first; after `HOLD` of tape nobody waits any longer. `ahead` of an order
are those of the queued lots that are served before it: it never grows, and is never more than what is queued.

* A trade takes from the front: what is ahead, then our order, then what is between it and our next one. Trades through
  a price take from it first. What our orders kept from the recorded ones behind them, those have lost anyway: the tape
  says so; they are taken to be the last ones.
* What grows at a level joins at the end.
* A decrease that no trade explained is spread over those before and behind by the model: with `front` and `back` lots
  of the queue, the part front^n / (front^n + back^n) of it was ahead (n of the model; 1 is in proportion), and what
  they hold together bounds it. n = 0 stands for the model that is averse to risk: all of it was behind, as far as that
  is possible. The formulas are those of hftbacktest's PowerProbQueueFunc, ProbQueueModel and RiskAdverseQueueModel
  (its documentation, "Order Fill"); that the later of two orders never gets ahead of the earlier is ours.
"""

from array import array
from typing import NamedTuple

BUY, SELL = 0, 1
BOUGHT = 3
"""The last kind of rows (recording.py) that the whole tape knows of; those above are trades with who recorded it."""
TAPE = 0
"""In the place of an order's id: whoever is recorded."""

HOLD = 1_000_000_000
"""ns of tape for which a decrease waits for its trade, and a trade for its decrease."""

# Columns. The best price is last in a book, so that what changes most is found and moved fastest.
KEY, LOTS, TAKEN, LEVEL = 0, 1, 2, 3  # of a level; its key is ticks for a bid, minus ticks for an ask
ORDER, TICKS, LEFT, AHEAD, CARRY, OWN = 0, 1, 2, 3, 4, 5  # of an order of ours, the best price first, then the oldest
TIME, SIDE, PRICE, WAITING, HELD = 0, 1, 2, 3, 4  # of what is held: a decrease above zero, a trade below
OTHER, FILL = 3, 4  # of a fill of a resting order, after ORDER, TICKS and lots

# Places of `at`, the counters: those of a side are two.
LEVELS, ORDERS, HEAD, TAIL, FILLS, ROW, POWER, COUNTERS = 0, 2, 4, 5, 6, 7, 8, 9

_FRACTION = 2.0**52
"""Parts of a lot in which the rest of a spread decrease is carried on to the next one."""


class State(NamedTuple):
    """All that a kernel knows. `books` and `orders` are of both sides, bids first."""

    at: "array[int]"
    books: "tuple[array[int], array[int]]"
    orders: "tuple[array[int], array[int]]"
    held: "array[int]"
    fills: "array[int]"


# The tape --------------------------------------------------------------------------------------------------


def level(state: State, side: int, ticks: int, lots: int, now: int) -> bool:
    """A recorded level has a new total, zero if it is gone. Whether that is a change."""
    at, book = state.at, state.books[side]
    let_go(state, now)
    key = ticks if side == BUY else -ticks
    count = at[LEVELS + side]
    index = find(book, count, key)
    known = index < count and book[index * LEVEL + KEY] == key
    before = book[index * LEVEL + LOTS] if known else 0
    if lots == before:
        return False
    hidden = 0
    if at[ORDERS + 1 - side] and _reaches(state, 1 - side, 0, ticks):
        hidden = _meet(state, 1 - side, ticks, lots - before, lots)
    if lots == 0:
        for cell in range(index * LEVEL, (count - 1) * LEVEL):
            book[cell] = book[cell + LEVEL]
        at[LEVELS + side] = count - 1
    else:
        if not known:
            for cell in range(count * LEVEL - 1, index * LEVEL - 1, -1):
                book[cell + LEVEL] = book[cell]
            at[LEVELS + side] = count + 1
            book[index * LEVEL + KEY] = key
        book[index * LEVEL + LOTS] = lots
        book[index * LEVEL + TAKEN] = hidden
    own = first_at(state, side, ticks)
    if lots < before:
        rest = _explain(state, side, ticks, before - lots, -1)
        if rest and own >= 0:
            _hold(state, side, ticks, rest, now)
    if own >= 0:
        cut(state, side, ticks)
    return True


def trade(state: State, taker: int, ticks: int, lots: int, now: int, unseen: bool) -> int:
    """A recorded trade by its taker's side. Returns the lots that nobody of ours had a part in.

    `unseen`: it hit an order that is not on the tape, so no decrease was and none will be told of it.
    """
    at, side = state.at, 1 - taker
    let_go(state, now)
    left, filled = lots, 0
    if at[ORDERS + side]:
        orders, index, price, used = state.orders[side], 0, 0, 0
        while index < at[ORDERS + side] and _reaches(state, side, index, ticks):
            cell = index * OWN
            if orders[cell + TICKS] != price:
                if not left:
                    break
                price, used = orders[cell + TICKS], 0
            eaten = min(left, max(0, orders[cell + AHEAD] - used))
            used += eaten
            left -= eaten
            orders[cell + AHEAD] = max(0, orders[cell + AHEAD] - used)
            matched = min(left, orders[cell + LEFT])
            if matched:
                left -= matched
                filled += matched
                index += serve(state, side, index, matched, TAPE)
            else:
                index += 1
    rest = 0 if unseen else _explain(state, side, ticks, lots, 1)
    if rest:
        rest = min(rest, max(0, queued(state, side, ticks)))  # more cannot go from it
        if rest:
            _hold(state, side, ticks, -rest, now)
    if first_at(state, side, ticks) >= 0:
        cut(state, side, ticks)
    return lots - filled


def run(
    state: State,
    times: "array[int]",
    kinds: "array[int]",
    ticks: "array[int]",
    lots: "array[int]",
    until: int,
    stop_on_touch: bool,
) -> int:
    """Play the rows of a recording (recording.py) up to a time. Returns how many more cells a table must have before
    it can go on, or 0 when it is done: at `until`, or after a moment that filled an order of ours, or after one that
    changed a best price or its size if that is asked for.
    """
    at, row, end = state.at, state.at[ROW], len(times)
    bid, ask = best(state, BUY), best(state, SELL)
    while row < end and times[row] <= until:
        now, after = times[row], row + 1
        while after < end and times[after] == now:
            after += 1
        if not fits(state, after - row):
            at[ROW] = row
            return after - row
        while row < after:
            kind = kinds[row]
            if kind <= SELL:
                level(state, kind, ticks[row], lots[row], now)
            else:
                trade(state, 1 - kind % 2, ticks[row], lots[row], now, kind > BOUGHT)
            row += 1
        if at[FILLS]:
            break
        if stop_on_touch and (best(state, BUY) != bid or best(state, SELL) != ask):
            break
    at[ROW] = row
    return 0


def fits(state: State, rows: int) -> bool:
    """Whether there is room for what that many rows can add, after what was held is moved together."""
    at, held = state.at, state.held
    if (at[TAIL] + rows) * HELD > len(held):
        shift = at[HEAD] * HELD
        for cell in range(shift, at[TAIL] * HELD):
            held[cell - shift] = held[cell]
        at[TAIL] -= at[HEAD]
        at[HEAD] = 0
    orders = at[ORDERS + BUY] + at[ORDERS + SELL]
    return (
        (at[TAIL] + rows) * HELD <= len(held)
        and (at[LEVELS + BUY] + rows) * LEVEL <= len(state.books[BUY])
        and (at[LEVELS + SELL] + rows) * LEVEL <= len(state.books[SELL])
        and (at[FILLS] + rows + orders) * FILL <= len(state.fills)
    )


# The book --------------------------------------------------------------------------------------------------


def find(book: "array[int]", count: int, key: int) -> int:
    """Where a level is, or would be. Searched from the best price, in strides that double."""
    high, stride = count, 1
    low = count - 1
    while low >= 0 and book[low * LEVEL + KEY] >= key:
        high = low
        low -= stride
        stride *= 2
    low = max(low, -1)
    while high - low > 1:  # the level at `high` is not below the key, that at `low` is
        middle = (low + high) >> 1
        if book[middle * LEVEL + KEY] >= key:
            high = middle
        else:
            low = middle
    return high


def best(state: State, side: int) -> tuple[int, int]:
    """Key and lots of the best recorded level that has something to be met; zeros without one."""
    book, index = state.books[side], state.at[LEVELS + side] - 1
    while index >= 0:
        lots = book[index * LEVEL + LOTS] - book[index * LEVEL + TAKEN]
        if lots:
            return book[index * LEVEL + KEY], lots
        index -= 1
    return 0, 0


def visible(state: State, side: int, ticks: int) -> int:
    """Recorded lots at a price that are there to be met."""
    book, count, key = state.books[side], state.at[LEVELS + side], ticks if side == BUY else -ticks
    index = find(book, count, key)
    if index < count and book[index * LEVEL + KEY] == key:
        return book[index * LEVEL + LOTS] - book[index * LEVEL + TAKEN]
    return 0


# Queues ----------------------------------------------------------------------------------------------------


def queued(state: State, side: int, ticks: int) -> int:
    """Recorded lots that stand at a price, as we believe."""
    at, held = state.at, state.held
    lots = visible(state, side, ticks)
    for cell in range(at[HEAD] * HELD, at[TAIL] * HELD, HELD):
        if held[cell + PRICE] == ticks and held[cell + SIDE] == side:
            lots += held[cell + WAITING]
    return lots


def let_go(state: State, now: int) -> None:
    """Stop waiting where it was long enough."""
    at, held = state.at, state.held
    while at[HEAD] < at[TAIL] and held[at[HEAD] * HELD + TIME] <= now - HOLD:
        cell = at[HEAD] * HELD
        side, ticks = held[cell + SIDE], held[cell + PRICE]
        if held[cell + WAITING] > 0 and first_at(state, side, ticks) >= 0:
            _spread(state, side, ticks, held[cell + WAITING])
            held[cell + WAITING] = 0
            cut(state, side, ticks)
        at[HEAD] += 1


def _spread(state: State, side: int, ticks: int, lots: int) -> None:
    """Lots went from the queue at a price, and no trade says whose: of each order's front and back by the model."""
    power = state.at[POWER]
    if not power:
        return  # from behind; where there are not enough, `cut` takes the rest from ahead
    orders, index, total = state.orders[side], first_at(state, side, ticks), queued(state, side, ticks)
    while index < state.at[ORDERS + side] and orders[index * OWN + TICKS] == ticks:
        cell = index * OWN
        if orders[cell + AHEAD]:
            front, back = float(orders[cell + AHEAD]) / float(total), float(total - orders[cell + AHEAD]) / float(total)
            ahead, behind = front, back
            for _ in range(power - 1):
                ahead *= front
                behind *= back
            gone = float(lots) * (ahead / (ahead + behind)) + float(orders[cell + CARRY]) / _FRACTION
            whole = int(gone)
            orders[cell + CARRY] = int((gone - float(whole)) * _FRACTION)
            orders[cell + AHEAD] = max(0, orders[cell + AHEAD] - whole)
        index += 1


def cut(state: State, side: int, ticks: int) -> None:
    """No more can be ahead of an order than there is, and no less than ahead of one before it."""
    orders, index, total = state.orders[side], first_at(state, side, ticks), queued(state, side, ticks)
    least = 0
    while index < state.at[ORDERS + side] and orders[index * OWN + TICKS] == ticks:
        cell = index * OWN
        least = orders[cell + AHEAD] = min(max(orders[cell + AHEAD], least), max(total, 0))
        index += 1


def first_at(state: State, side: int, ticks: int) -> int:
    """The first order of ours at a price; -1 without one."""
    orders = state.orders[side]
    for index in range(state.at[ORDERS + side]):
        if orders[index * OWN + TICKS] == ticks:
            return index
    return -1


def serve(state: State, side: int, index: int, lots: int, other: int) -> int:
    """Fill an order of ours with no more than it has left. Returns the step to the next one: 0 if this one is gone."""
    at, orders, cell = state.at, state.orders[side], index * OWN
    fill = at[FILLS] * FILL
    state.fills[fill + ORDER] = orders[cell + ORDER]
    state.fills[fill + TICKS] = orders[cell + TICKS]
    state.fills[fill + LEFT] = lots
    state.fills[fill + OTHER] = other
    at[FILLS] += 1
    orders[cell + LEFT] -= lots
    if orders[cell + LEFT]:
        return 1
    remove(state, side, index)
    return 0


def remove(state: State, side: int, index: int) -> None:
    """Take an order of ours out."""
    orders = state.orders[side]
    state.at[ORDERS + side] -= 1
    for cell in range(index * OWN, state.at[ORDERS + side] * OWN):
        orders[cell] = orders[cell + OWN]


def _reaches(state: State, side: int, index: int, ticks: int) -> bool:
    """Whether a price of the other side is at or through that of an order of ours."""
    price = state.orders[side][index * OWN + TICKS]
    return price >= ticks if side == BUY else price <= ticks


def _meet(state: State, side: int, ticks: int, fresh: int, lots: int) -> int:
    """A level came up at or through our prices, so nobody recorded stands ahead of us any more. Returns how much of it
    is not to be seen: what met us, and all of it while we still stand against it.
    """
    at, orders = state.at, state.orders[side]
    index = 0
    while index < at[ORDERS + side] and _reaches(state, side, index, ticks):
        orders[index * OWN + AHEAD] = 0
        index += 1
    arrived = max(fresh, 0)
    left = arrived
    while left and at[ORDERS + side] and _reaches(state, side, 0, ticks):
        matched = min(left, orders[LEFT])
        left -= matched
        serve(state, side, 0, matched, TAPE)
    if at[ORDERS + side] and _reaches(state, side, 0, ticks):
        return lots
    return arrived - left


# What waits ------------------------------------------------------------------------------------------------


def _hold(state: State, side: int, ticks: int, waiting: int, now: int) -> None:
    at, held = state.at, state.held
    cell = at[TAIL] * HELD
    held[cell + TIME] = now
    held[cell + SIDE] = side
    held[cell + PRICE] = ticks
    held[cell + WAITING] = waiting
    at[TAIL] += 1


def _explain(state: State, side: int, ticks: int, lots: int, sign: int) -> int:
    """Lots find their other half, the oldest first: a trade (sign 1) decreases, a decrease (-1) trades. Returns those
    that did not.
    """
    at, held = state.at, state.held
    for cell in range(at[HEAD] * HELD, at[TAIL] * HELD, HELD):
        if not lots:
            break
        if held[cell + PRICE] == ticks and held[cell + SIDE] == side and held[cell + WAITING] * sign > 0:
            matched = min(lots, held[cell + WAITING] * sign)
            held[cell + WAITING] -= matched * sign
            lots -= matched
    return lots
