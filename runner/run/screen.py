"""The live view of a run in a terminal: market, own orders, position, profit, the last reason and the last notes.

`view` draws one status into a given size; `Screen` shows it, on the terminal's second page, so that nothing is left
behind at the end. There is no thread and no timer: whoever runs the loop calls `show`, some four times a second.
"""

import io
import os
import select
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import IO, Any, Self, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from runner.model.command import Note
from runner.model.order import Side
from runner.report.figures import amounts, clock, facts, figure, many, span
from runner.report.status import MarketStatus, OrderStatus, Status

NARROW = 72
TINY = 52
"""Below this many columns the tables leave out what can be missed, and then what can be guessed."""

LABEL = 10

PATIENCE_S = 1.0
"""How long a terminal that takes no output may hold up the end of a run."""

_STYLE = {"live": "green", "gap": "red", "empty": "yellow"}
_PHASE = {"starting": "yellow", "trading": "green", "stopping": "yellow", "stopped": "red"}
_LEVEL = {"warning": "yellow", "error": "red"}
_SIDE = {Side.BUY: "green", Side.SELL: "red"}


class Screen:
    """Shows one status after the other on a terminal, by default that of stderr. Use as a context: leaving it gives
    the terminal back as it was.

    Colour follows the terminal and `NO_COLOR`; nothing is told by colour alone. The loop that draws is the loop that
    trades, so nothing here waits: while a terminal takes no output (Ctrl-S, a dead ssh line), pictures are left out.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        file = sys.stderr if file is None else file
        self._terminal = _Terminal.behind(file)
        self._console = Console(file=cast(IO[str], self._terminal or file))
        self._live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stdout=False)

    @property
    def usable(self) -> bool:
        """Whether there is a terminal that can show it; where not, log lines serve better."""
        return self._terminal is not None and not self._console.is_dumb_terminal

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()
        if self._terminal is not None:
            if not self._terminal.drain():
                self._terminal.resume()
                self._terminal.drain(PATIENCE_S)
            self._terminal.close()

    def show(self, status: Status) -> None:
        """Draw a status, unless the terminal has not taken all of the one before."""
        if self._terminal is None or self._terminal.drain():
            size = self._console.size
            self._live.update(view(status, size.width, size.height), refresh=True)


def view(status: Status, width: int, height: int) -> RenderableType:
    """One status as `height` lines of at most `width` columns; without room, fewer orders and notes."""
    totals = _totals(status, width)
    # Besides orders and notes: title, rule, two table heads, two blank lines.
    room = height - 6 - len(_model(status)) - len(status.markets) - len(totals)
    note_lines = min(len(status.notes), max(2, room - len(status.orders)))
    return Group(
        _title(status, width),
        *_model(status),
        Rule(Text("Ctrl-C stops the run", style="dim"), align="right", style="dim"),
        _markets(status.markets, width),
        Text(),
        *_orders(status, max(1, room - note_lines), width),
        Text(),
        *totals,
        *[_note(time, note) for time, note in status.notes[len(status.notes) - note_lines :]],
    )


def _title(status: Status, width: int) -> Table:
    line = Table.grid(expand=True, padding=(0, 2, 0, 0))
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(no_wrap=True, justify="right")
    name = Text.assemble(
        (status.name, "bold"), "  ", (status.phase, _PHASE[status.phase]), "  ", span(status.time - status.started_at)
    )
    place = f"{status.venue}  run {status.run}" if width >= NARROW else status.venue
    line.add_row(name, Text(place, style="dim"))
    return line


def _model(status: Status) -> list[Text]:
    """What a paper account assumes: no result of it is shown without."""
    return [Text(status.model, style="yellow", no_wrap=True, overflow="ellipsis")] if status.model else []


def _markets(markets: Sequence[MarketStatus], width: int) -> Table:
    table = _table()
    table.add_column("market")
    table.add_column("best bid", justify="right")
    table.add_column("best ask", justify="right")
    if width >= NARROW:
        table.add_column("spread", justify="right")
    table.add_column("book", min_width=5)
    if width >= TINY:
        table.add_column("age", justify="right", min_width=8)
    for market in markets:
        cells = [
            Text(market.symbol, style="bold"),
            Text(_price(market.best_bid), style="green"),
            Text(_price(market.best_ask), style="red"),
            *([Text(_spread(market))] if width >= NARROW else []),
            Text(market.book, style=_STYLE.get(market.book, "")),
            *([Text("-" if market.age is None else span(market.age))] if width >= TINY else []),
        ]
        table.add_row(*cells)
    return table


def _orders(status: Status, room: int, width: int) -> list[RenderableType]:
    """Own orders from the highest price to the lowest; without room for all, those nearest to the market."""
    if not status.orders:
        return [*_lines("orders", [Text("none")], width)]
    shown = _nearest(status.orders, room if len(status.orders) <= room else max(1, room - 1))
    several = len(status.markets) > 1 and width >= NARROW
    table = _table()
    table.add_column("order")
    if several:
        table.add_column("market")
    if width >= TINY:
        table.add_column("side")
    table.add_column("price", justify="right")
    table.add_column("quantity", justify="right")
    if width >= NARROW:
        table.add_column("left", justify="right")
    table.add_column("state", min_width=10)
    if width >= TINY:
        table.add_column("age", justify="right", min_width=8)
    for order in shown:
        cells = [
            Text(order.slot),
            *([Text(order.market)] if several else []),
            *([Text(order.side.value, style=_SIDE[order.side])] if width >= TINY else []),
            Text("market" if order.price is None else _price(order.price)),
            Text(figure(order.quantity)),
            *([Text(figure(order.remaining))] if width >= NARROW else []),
            Text(order.state, style="bold red" if order.state == "unknown" else ""),
            *([Text(span(order.age))] if width >= TINY else []),
        ]
        table.add_row(*cells)
    hidden = len(status.orders) - len(shown)
    return [table, Text(f"… {hidden} more", style="dim")] if hidden else [table]


def _nearest(orders: Sequence[OrderStatus], room: int) -> list[OrderStatus]:
    """At most `room` orders, by market and then by price downwards; from both sides those nearest to each other."""
    if room < len(orders):
        by_rank = sorted(_ranked(orders), key=lambda ranked: ranked[0])
        orders = [order for _, order in by_rank[:room]]
    return sorted(orders, key=lambda order: (order.market, -(order.price or Decimal(0)), order.slot))


def _ranked(orders: Sequence[OrderStatus]) -> list[tuple[int, OrderStatus]]:
    """Orders with their distance from the market, in places on their own side."""
    ranked = []
    for side in Side:
        own = [order for order in orders if order.side is side]
        own.sort(key=lambda order: -side.sign * (order.price or Decimal(0)))
        ranked += list(enumerate(own))
    return ranked


def _totals(status: Status, width: int) -> list[Text]:
    """What it all came to, and why the last tick wanted what it wanted."""
    counts = status.counts
    happened = [f"{counts.placed} placed", f"{counts.filled} filled", f"{counts.cancelled} cancelled"]
    trouble = {name: getattr(counts, name) for name in ("rejected", "refused", "absent", "unknown")}
    happened += [f"{number} {name}" for name, number in trouble.items() if number]
    fills = [str(status.fills), f"volume {amounts(status.volume)}", f"fees {amounts(status.fees)}"]
    profit = [_profit("realised", status.realised), _profit("unrealised", status.unrealised)]
    return [
        *_lines("position", [Text(_position(market)) for market in status.markets], width),
        *_lines("profit", profit, width),
        *_lines("fills", [Text(part) for part in fills], width),
        *_lines("orders", [Text(part) for part in (*happened, many(status.ticks, "tick"))], width),
        *_lines("reason", [Text(part) for part in (status.reason or "no tick yet").split(", ")], width),
    ]


def _position(market: MarketStatus) -> str:
    base, _, quote = market.symbol.partition("-")
    average = "" if market.average_price is None else f" at {_eight(market.average_price)} {quote}"
    return f"{figure(market.position)} {base}{average}"


def _profit(kind: str, profits: Mapping[str, Decimal]) -> Text:
    text = Text(f"{kind} ")
    for number, (currency, amount) in enumerate(profits.items()):
        text.append(" and " if number else "")
        style = "green" if amount > 0 else "red" if amount < 0 else ""
        text.append(f"{figure(amount, signed=True)} {currency}", style=style)
    return text if profits else text.append("-")


def _note(time: int, note: Note) -> Text:
    about = " ".join(part for part in (note.client_id or note.market, facts(note.facts)) if part)
    line = _line(clock(time))
    return line.append(note.what, style=_LEVEL.get(note.level, "")).append(f"  {about}", style="dim")


def _lines(label: str, parts: Sequence[Text], width: int) -> list[Text]:
    """The parts one after the other behind a label, on as many lines as they need: a part is not broken."""
    lines = [_line(label)]
    for number, part in enumerate(parts):
        comma = "," if number + 1 < len(parts) else ""
        started = lines[-1].cell_len > LABEL
        if started and lines[-1].cell_len + 1 + part.cell_len + len(comma) > width:
            lines.append(_line(""))
            started = False
        lines[-1].append(" " if started else "").append_text(part).append(comma)
    return lines


def _line(label: str) -> Text:
    """One line, so far with a label only. It is cut at the edge, never broken: the picture keeps its height."""
    return Text(no_wrap=True, overflow="ellipsis").append(f"{label:<{LABEL}}", style="dim")


def _table() -> Table:
    return _Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


class _Table(Table):
    """A table of which no cell is ever broken over two lines."""

    def add_column(self, *arguments: Any, **options: Any) -> None:
        super().add_column(*arguments, **options, no_wrap=True)


def _price(price: Decimal | None) -> str:
    return "-" if price is None else format(price, "f")


def _eight(price: Decimal) -> str:
    return format(price, ".8g") if price >= 1 else figure(price)


def _spread(market: MarketStatus) -> str:
    if market.best_bid is None or market.best_ask is None:
        return "-"
    mid = float(market.best_bid + market.best_ask) / 2
    return f"{(float(market.best_ask) - float(market.best_bid)) / mid * 10_000:.1f} bps"


class _Terminal(io.TextIOBase):
    """A terminal that is written to without waiting: what it does not take at once is kept for later, in order."""

    def __init__(self, descriptor: int, encoding: str) -> None:
        self._descriptor = descriptor
        self._encoding = encoding
        self._kept = b""

    @classmethod
    def behind(cls, file: TextIO) -> Self | None:
        """The terminal that a file stands for; None where it is no terminal, or none that can be opened again.

        Opened again, because not to wait is a property of the opened file, and this one is shared with the shell.
        """
        try:
            descriptor = os.open(os.ttyname(file.fileno()), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, AttributeError, ValueError):
            return None
        return cls(descriptor, file.encoding or "utf-8")

    @property
    def encoding(self) -> str:  # type: ignore[override]  # of TextIOBase it is a plain attribute
        return self._encoding

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        self._kept += text.encode(self._encoding, "replace")
        return len(text)

    def flush(self) -> None:
        if not self.closed:
            self.drain()

    def drain(self, patience_s: float = 0.0) -> bool:
        """Write what was kept, for at most that many seconds. Returns whether all of it was taken."""
        end = time.monotonic() + patience_s
        while self._kept:
            try:
                self._kept = self._kept[os.write(self._descriptor, self._kept) :]
            except BlockingIOError:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                select.select([], [self._descriptor], [], left)
            except OSError:  # the terminal was hung up: nobody reads this any more
                self._kept = b""
        return True

    def resume(self) -> None:
        """Take back a Ctrl-S: who held the picture wants his prompt afterwards, on the page it was on."""
        import termios  # only where there are terminals

        with suppress(OSError, termios.error):
            if os.tcgetpgrp(self._descriptor) != os.getpgrp():
                return  # from the background it would stop the process
            settings = termios.tcgetattr(self._descriptor)
            free = [settings[0] & ~termios.IXON, *settings[1:]]  # no flow control: the line is let go
            termios.tcsetattr(self._descriptor, termios.TCSANOW, free)
            termios.tcsetattr(self._descriptor, termios.TCSANOW, settings)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
