"""The order book of a market that comes from a tape, in the place of a matching engine's.

To the exchange it is a book like any other. Recorded volume belongs to the house, which has a row in the exchange's
database for each side; their ids are lower than anybody else's, so the house is the maker where it is met.
"""

from collections.abc import Iterable

from runner.model.order import Side
from runner.simulation.kernel import BUY, SELL, Fill, Kernel
from runner.simulation.matching import Arrival, LevelChange, Match, Outcome

SIDES = {Side.BUY: BUY, Side.SELL: SELL}
_NAMES = (Side.BUY, Side.SELL)


class TapeBook:
    """`standing` are the ids of the house's rows, by the side on which its volume is."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self.kernel = kernel or Kernel()
        self.standing: dict[Side, int] = {}

    # What members do -------------------------------------------------------------------------------------

    def submit(self, order: Arrival) -> Outcome:
        """Match an arriving order as far as it goes; what is left of a limit order rests."""
        funds = -1 if order.funds is None else order.funds
        left = self.kernel.place(order.id, SIDES[order.side], order.ticks or 0, order.lots, funds)
        house = self.standing[order.side.opposite]
        matches = [
            Match(fill.other or house, order.id, fill.ticks, fill.lots)
            for fill in self.take_fills()
            if fill.order == order.id
        ]
        return Outcome(tuple(matches), tuple(self.take_changes()), left)

    def cancel(self, order_id: int, side: Side, ticks: int) -> tuple[bool, LevelChange]:
        """Take an order out. Whether it was there, and the level's total, which is announced either way."""
        found = self.kernel.cancel(order_id, SIDES[side])
        self.kernel.touched.clear()
        return found, LevelChange(side, ticks, self.kernel.total(SIDES[side], ticks))

    # What the tape did -----------------------------------------------------------------------------------

    def take_fills(self) -> list[Fill]:
        """Fills since the last time."""
        fills, self.kernel.fills = self.kernel.fills, []
        return fills

    def take_changes(self) -> Iterable[LevelChange]:
        """Levels that were touched since the last time, in that order, and what they hold now."""
        touched, self.kernel.touched = self.kernel.touched, []
        return [LevelChange(_NAMES[side], ticks, self.kernel.total(side, ticks)) for side, ticks in touched]

    # What there is ---------------------------------------------------------------------------------------

    def best(self, side: Side) -> int | None:
        best = self.kernel.best(SIDES[side])
        return None if best is None else best[0]

    def levels(self, side: Side, count: int) -> list[tuple[int, int]]:
        """Up to `count` levels of (ticks, lots), best first, own orders among them."""
        return self.kernel.levels(SIDES[side], count)

    def ahead(self, order_id: int, side: Side, ticks: int) -> int | None:
        """Lots that a member's order meets before this one; None if it is not here. At one price the tape is first."""
        number, ahead = SIDES[side], 0
        for own in self.kernel.own(number):
            if own.order == order_id:
                visible = self.kernel.visible(number, self.level_count(side))
                return ahead + sum(lots for level, lots in visible if side.sign * (level - ticks) >= 0)
            ahead += own.left
        return None

    def recorded_levels(self, side: Side, count: int) -> list[tuple[int, int]]:
        """Up to `count` levels (ticks, lots) of the tape alone, best first."""
        return self.kernel.visible(SIDES[side], count)

    def lots(self, side: Side) -> int:
        """Volume of a whole side."""
        return sum(lots for _, lots in self.levels(side, self.level_count(side)))

    def level_count(self, side: Side) -> int:
        return len(self.kernel.recorded(SIDES[side])) + len(self.kernel.own(SIDES[side]))

    def restarted(self) -> "TapeBook":
        """What is recorded is still there, and what was taken of it still gone."""
        self.kernel.forget()
        return self
