"""The fill kernel's arithmetic: a book, the queues of our orders in it, and what waits for its other half.

Functions over one array of whole numbers and nothing else, so that numba can compile them as they stand (kernel.py); as
plain Python they do the same over the same memory. The first cells say how many rows each table has and where it
begins. Whoever calls sees to it that what a row adds has room (`fits`).

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

BUY, SELL = 0, 1
BOUGHT = 3
"""The last kind of rows (recording.py) that the whole tape knows of; those above are trades with who recorded it."""
TAPE = 0
"""In the place of an order's id: whoever is recorded."""

HOLD = 1_000_000_000
"""ns of tape for which a decrease waits for its trade, and a trade for its decrease."""

# Columns of the tables, and how many there are. A book is in blocks of up to `BLOCK` levels, and the directory of a
# side has a row for each, the best prices last: so little is moved when a level comes or goes, wherever that is.
FIRST, NUMBER, COUNT, ENTRY = 0, 1, 2, 3  # of a block: no key in it is lower, which it is, and how many levels it has
KEY, LOTS, TAKEN, LEVEL = 0, 1, 2, 3  # of a level; its key is ticks for a bid, minus ticks for an ask
ORDER, TICKS, LEFT, AHEAD, CARRY, OWN = 0, 1, 2, 3, 4, 5  # of an order of ours, the best price first, then the oldest
TIME, SIDE, PRICE, WAITING, HELD = 0, 1, 2, 3, 4  # of what is held: a decrease above zero, a trade below
OTHER, FILL = 3, 4  # of a fill of a resting order, after ORDER, TICKS and lots
BLOCK = 16

# The first cells: how many rows are in use, of what is held those from HEAD to TAIL; blocks that were ever used, and
# the number after that of the first free one among them, which names the next. Names of a side stand for two cells.
ENTRIES, ORDERS, HEAD, TAIL, FILLS, MADE, FREE, ROW, POWER = 0, 2, 4, 5, 6, 7, 8, 9, 10
# Where the tables begin, in this order, and where the last ends.
DIRECTORY, OWNS, WAITS, FILLED, BLOCKS, END, TABLES = 11, 13, 15, 16, 17, 18, 19

_FRACTION = 2.0**52
"""Parts of a lot in which the rest of a spread decrease is carried on to the next one."""


# The tape --------------------------------------------------------------------------------------------------


def level(m: "array[int]", side: int, ticks: int, lots: int, now: int) -> bool:
    """A recorded level has a new total, zero if it is gone. Whether that is a change."""
    let_go(m, now)
    key = ticks if side == BUY else -ticks
    entry = _entry(m, side, key)
    cell = _place(m, entry, key)
    known = cell < _end(m, entry) and m[cell + KEY] == key
    before = m[cell + LOTS] if known else 0
    if lots == before:
        return False
    hidden = 0
    if m[ORDERS + 1 - side] and _reaches(m, 1 - side, m[OWNS + 1 - side], ticks):
        hidden = _meet(m, 1 - side, ticks, lots - before, lots)
    if not lots:
        _drop(m, side, entry, cell)
    else:
        if not known:
            cell = _insert(m, side, entry, cell, key)
        m[cell + LOTS] = lots
        m[cell + TAKEN] = hidden
    watched = first_at(m, side, ticks) >= 0
    if lots < before:
        rest = _explain(m, side, ticks, before - lots, -1)
        if rest and watched:
            _hold(m, side, ticks, rest, now)
    if watched:
        cut(m, side, ticks)
    return True


def trade(m: "array[int]", taker: int, ticks: int, lots: int, now: int, unseen: bool) -> int:
    """A recorded trade by its taker's side. Returns the lots that nobody of ours had a part in.

    `unseen`: it hit an order that is not on the tape, so no decrease was and none will be told of it.
    """
    let_go(m, now)
    side, left, filled = 1 - taker, lots, 0
    if m[ORDERS + side]:
        cell, price, used = m[OWNS + side], 0, 0
        while cell < m[OWNS + side] + m[ORDERS + side] * OWN and _reaches(m, side, cell, ticks):
            if m[cell + TICKS] != price:
                if not left:
                    break
                price, used = m[cell + TICKS], 0
            eaten = min(left, max(0, m[cell + AHEAD] - used))
            used += eaten
            left -= eaten
            m[cell + AHEAD] = max(0, m[cell + AHEAD] - used)
            matched = min(left, m[cell + LEFT])
            left -= matched
            filled += matched
            if not matched or serve(m, side, cell, matched, TAPE):
                cell += OWN
    rest = 0 if unseen else _explain(m, side, ticks, lots, 1)
    if rest:
        rest = min(rest, max(0, queued(m, side, ticks)))  # more cannot go from it
        if rest:
            _hold(m, side, ticks, -rest, now)
    cut(m, side, ticks)
    return lots - filled


def run(
    m: "array[int]",
    times: "array[int]",
    kinds: "array[int]",
    ticks: "array[int]",
    lots: "array[int]",
    until: int,
    stop_on_touch: bool,
) -> int:
    """Play the rows of a recording (recording.py) up to a time. Returns for how many rows there must be room before it
    can go on, or 0 when it is done: at `until`, or after a moment that filled an order of ours, or after one that
    changed a best price or its size if that is asked for.
    """
    row, end = m[ROW], len(times)
    bid, ask = best(m, BUY), best(m, SELL)
    while row < end and times[row] <= until:
        now, after = times[row], row + 1
        while after < end and times[after] == now:
            after += 1
        if not fits(m, after - row):
            m[ROW] = row
            return after - row
        while row < after:
            kind = kinds[row]
            if kind <= SELL:
                level(m, kind, ticks[row], lots[row], now)
            else:
                trade(m, 1 - kind % 2, ticks[row], lots[row], now, kind > BOUGHT)
            row += 1
        if m[FILLS] or (stop_on_touch and (best(m, BUY) != bid or best(m, SELL) != ask)):
            break
    m[ROW] = row
    return 0


def fits(m: "array[int]", rows: int) -> bool:
    """Whether there is room for what that many rows can add, after what is held is moved together."""
    if m[WAITS] + (m[TAIL] + rows) * HELD > m[FILLED] and m[HEAD]:
        shift = m[HEAD] * HELD
        for cell in range(m[WAITS] + shift, m[WAITS] + m[TAIL] * HELD):
            m[cell - shift] = m[cell]
        m[TAIL] -= m[HEAD]
        m[HEAD] = 0
    # A row makes at most one block, and fills orders of ours to the end and at most one of them in part.
    fills = m[FILLS] + rows + m[ORDERS + BUY] + m[ORDERS + SELL]
    return (
        m[DIRECTORY + BUY] + (m[ENTRIES + BUY] + rows) * ENTRY <= m[DIRECTORY + SELL]
        and m[DIRECTORY + SELL] + (m[ENTRIES + SELL] + rows) * ENTRY <= m[OWNS + BUY]
        and m[OWNS + BUY] + (m[ORDERS + BUY] + rows) * OWN <= m[OWNS + SELL]
        and m[OWNS + SELL] + (m[ORDERS + SELL] + rows) * OWN <= m[WAITS]
        and m[WAITS] + (m[TAIL] + rows) * HELD <= m[FILLED]
        and m[FILLED] + fills * FILL <= m[BLOCKS]
        and m[BLOCKS] + (m[MADE] + rows) * BLOCK * LEVEL <= m[END]
    )


# The book --------------------------------------------------------------------------------------------------


def find(m: "array[int]", side: int, ticks: int) -> int:
    """The cell of a level; -1 if there is none."""
    key = ticks if side == BUY else -ticks
    entry = _entry(m, side, key)
    cell = _place(m, entry, key)
    return cell if cell < _end(m, entry) and m[cell + KEY] == key else -1


def visible(m: "array[int]", side: int, ticks: int) -> int:
    """Recorded lots at a price that are there to be met."""
    cell = find(m, side, ticks)
    return m[cell + LOTS] - m[cell + TAKEN] if cell >= 0 else 0


def best(m: "array[int]", side: int) -> tuple[int, int]:
    """Key and lots of the best recorded level that has something to be met; zeros without one."""
    entry = m[DIRECTORY + side] + m[ENTRIES + side] * ENTRY
    while entry > m[DIRECTORY + side]:
        entry -= ENTRY
        cell = _end(m, entry)
        while cell > _start(m, entry):
            cell -= LEVEL
            lots = m[cell + LOTS] - m[cell + TAKEN]
            if lots:
                return m[cell + KEY], lots
    return 0, 0


def _entry(m: "array[int]", side: int, key: int) -> int:
    """Of the block where a key is or would be: the last that begins at or below it, or the first of all. Searched from
    the best price, in strides that double. -1 in an empty book.
    """
    start, count = m[DIRECTORY + side], m[ENTRIES + side]
    high, low, stride = count, count - 1, 1
    while low > 0 and m[start + low * ENTRY + FIRST] > key:
        high = low
        low -= stride
        stride *= 2
    low = max(low, min(count, 1) - 1)
    while high - low > 1:  # the block at `high` begins above the key; that at `low` does not, or is the first
        middle = (low + high) >> 1
        if m[start + middle * ENTRY + FIRST] > key:
            high = middle
        else:
            low = middle
    return start + low * ENTRY if count else -1


def _start(m: "array[int]", entry: int) -> int:
    return m[BLOCKS] + m[entry + NUMBER] * BLOCK * LEVEL


def _end(m: "array[int]", entry: int) -> int:
    return _start(m, entry) + m[entry + COUNT] * LEVEL if entry >= 0 else 0


def _place(m: "array[int]", entry: int, key: int) -> int:
    """Where in its block a key is or would be."""
    if entry < 0:
        return 0
    start, low, high = _start(m, entry), -1, m[entry + COUNT]
    while high - low > 1:
        middle = (low + high) >> 1
        if m[start + middle * LEVEL + KEY] >= key:
            high = middle
        else:
            low = middle
    return start + high * LEVEL


def _insert(m: "array[int]", side: int, entry: int, cell: int, key: int) -> int:
    """Make a level where `_place` said. Returns its cell."""
    if entry < 0:
        entry = m[DIRECTORY + side]
        cell = _make(m, side, entry)
    elif m[entry + COUNT] == BLOCK:
        half = BLOCK // 2
        start, other = _start(m, entry), _make(m, side, entry + ENTRY)
        for at in range(half * LEVEL):
            m[other + at] = m[start + half * LEVEL + at]
        m[entry + COUNT] = m[entry + ENTRY + COUNT] = half
        m[entry + ENTRY + FIRST] = m[other + KEY]
        if key > m[other + KEY]:
            entry += ENTRY
        cell = _place(m, entry, key)
    for at in range(_end(m, entry) - 1, cell - 1, -1):
        m[at + LEVEL] = m[at]
    m[cell + KEY] = key
    m[entry + COUNT] += 1
    m[entry + FIRST] = m[_start(m, entry) + KEY]
    return cell


def _drop(m: "array[int]", side: int, entry: int, cell: int) -> None:
    """Take a level out, and its block if it was the last in it."""
    for at in range(cell, _end(m, entry) - LEVEL):
        m[at] = m[at + LEVEL]
    m[entry + COUNT] -= 1
    if m[entry + COUNT]:
        return
    m[_start(m, entry)] = m[FREE]
    m[FREE] = m[entry + NUMBER] + 1
    m[ENTRIES + side] -= 1
    for at in range(entry, m[DIRECTORY + side] + m[ENTRIES + side] * ENTRY):
        m[at] = m[at + ENTRY]


def _make(m: "array[int]", side: int, entry: int) -> int:
    """An empty block at this place of the directory. Returns its first cell."""
    for at in range(m[DIRECTORY + side] + m[ENTRIES + side] * ENTRY - 1, entry - 1, -1):
        m[at + ENTRY] = m[at]
    m[ENTRIES + side] += 1
    if m[FREE]:
        m[entry + NUMBER] = m[FREE] - 1
        m[FREE] = m[_start(m, entry)]
    else:
        m[entry + NUMBER] = m[MADE]
        m[MADE] += 1
    m[entry + COUNT] = 0
    return _start(m, entry)


# Queues ----------------------------------------------------------------------------------------------------


def queued(m: "array[int]", side: int, ticks: int) -> int:
    """Recorded lots that stand at a price, as we believe."""
    lots = visible(m, side, ticks)
    for cell in range(m[WAITS] + m[HEAD] * HELD, m[WAITS] + m[TAIL] * HELD, HELD):
        if m[cell + PRICE] == ticks and m[cell + SIDE] == side:
            lots += m[cell + WAITING]
    return lots


def let_go(m: "array[int]", now: int) -> None:
    """Stop waiting where it was long enough."""
    while m[HEAD] < m[TAIL] and m[m[WAITS] + m[HEAD] * HELD + TIME] <= now - HOLD:
        cell = m[WAITS] + m[HEAD] * HELD
        side, ticks, waiting = m[cell + SIDE], m[cell + PRICE], m[cell + WAITING]
        if waiting > 0 and first_at(m, side, ticks) >= 0:
            _spread(m, side, ticks, waiting)
            m[cell + WAITING] = 0
            cut(m, side, ticks)
        m[HEAD] += 1


def _spread(m: "array[int]", side: int, ticks: int, lots: int) -> None:
    """Lots went from the queue at a price, and no trade says whose: of each order's front and back by the model."""
    if not m[POWER]:
        return  # from behind; where there are not enough, `cut` takes the rest from ahead
    total = float(queued(m, side, ticks))
    cell, end = first_at(m, side, ticks), m[OWNS + side] + m[ORDERS + side] * OWN
    while cell < end and m[cell + TICKS] == ticks:
        if m[cell + AHEAD]:
            front = float(m[cell + AHEAD]) / total
            back = 1.0 - front
            ahead, behind = front, back
            for _ in range(m[POWER] - 1):
                ahead *= front
                behind *= back
            gone = float(lots) * (ahead / (ahead + behind)) + float(m[cell + CARRY]) / _FRACTION
            whole = int(gone)
            m[cell + CARRY] = int((gone - float(whole)) * _FRACTION)
            m[cell + AHEAD] = max(0, m[cell + AHEAD] - whole)
        cell += OWN


def cut(m: "array[int]", side: int, ticks: int) -> None:
    """No more can be ahead of an order of ours than there is, and no less than ahead of one before it."""
    cell, end = first_at(m, side, ticks), m[OWNS + side] + m[ORDERS + side] * OWN
    if cell < 0:
        return
    total, least = max(0, queued(m, side, ticks)), 0
    while cell < end and m[cell + TICKS] == ticks:
        least = min(max(m[cell + AHEAD], least), total)
        m[cell + AHEAD] = least
        cell += OWN


def first_at(m: "array[int]", side: int, ticks: int) -> int:
    """The cell of the first order of ours at a price; -1 without one."""
    for cell in range(m[OWNS + side], m[OWNS + side] + m[ORDERS + side] * OWN, OWN):
        if m[cell + TICKS] == ticks:
            return cell
    return -1


def serve(m: "array[int]", side: int, cell: int, lots: int, other: int) -> bool:
    """Fill an order of ours with no more than it has left. Whether some of it stays."""
    fill = m[FILLED] + m[FILLS] * FILL
    m[fill + ORDER] = m[cell + ORDER]
    m[fill + TICKS] = m[cell + TICKS]
    m[fill + LEFT] = lots
    m[fill + OTHER] = other
    m[FILLS] += 1
    m[cell + LEFT] -= lots
    if m[cell + LEFT]:
        return True
    remove(m, side, cell)
    return False


def remove(m: "array[int]", side: int, cell: int) -> None:
    """Take an order of ours out."""
    m[ORDERS + side] -= 1
    for at in range(cell, m[OWNS + side] + m[ORDERS + side] * OWN):
        m[at] = m[at + OWN]


def _reaches(m: "array[int]", side: int, cell: int, ticks: int) -> bool:
    """Whether a price of the other side is at or through that of an order of ours."""
    return m[cell + TICKS] >= ticks if side == BUY else m[cell + TICKS] <= ticks


def _meet(m: "array[int]", side: int, ticks: int, fresh: int, lots: int) -> int:
    """A level came up at or through our prices, so nobody recorded stands ahead of us any more. Returns how much of it
    is not to be seen: what met us, and all of it while we still stand against it.
    """
    first = m[OWNS + side]
    cell = first
    while cell < first + m[ORDERS + side] * OWN and _reaches(m, side, cell, ticks):
        m[cell + AHEAD] = 0
        cell += OWN
    arrived = max(fresh, 0)
    left = arrived
    while left and m[ORDERS + side] and _reaches(m, side, first, ticks):
        matched = min(left, m[first + LEFT])
        left -= matched
        serve(m, side, first, matched, TAPE)
    if m[ORDERS + side] and _reaches(m, side, first, ticks):
        return lots
    return arrived - left


# What waits ------------------------------------------------------------------------------------------------


def _hold(m: "array[int]", side: int, ticks: int, waiting: int, now: int) -> None:
    cell = m[WAITS] + m[TAIL] * HELD
    m[cell + TIME] = now
    m[cell + SIDE] = side
    m[cell + PRICE] = ticks
    m[cell + WAITING] = waiting
    m[TAIL] += 1


def _explain(m: "array[int]", side: int, ticks: int, lots: int, sign: int) -> int:
    """Lots find their other half, the oldest first: a trade (sign 1) decreases, a decrease (-1) trades. Returns those
    that did not.
    """
    for cell in range(m[WAITS] + m[HEAD] * HELD, m[WAITS] + m[TAIL] * HELD, HELD):
        if m[cell + PRICE] == ticks and m[cell + SIDE] == side and m[cell + WAITING] * sign > 0:
            matched = min(lots, m[cell + WAITING] * sign)
            m[cell + WAITING] -= matched * sign
            lots -= matched
            if not lots:
                break
    return lots
