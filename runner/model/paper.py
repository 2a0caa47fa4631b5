"""What a paper account assumes where a real one would find out: how long things take, and who is served first."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from runner.model.market import Market
from runner.model.settings import MILLISECOND, QueueModel


class Latency(Struct, frozen=True):
    """How long something takes, ns: `least`, and what chance adds to it.

    `uniform` adds evenly up to `spread`; `exponential` adds `spread` on average, seldom several times as much. With
    `samples`, those of a recorded run, one of them is drawn instead.
    """

    least: int = 0
    spread: int = 0
    shape: Literal["uniform", "exponential"] = "uniform"
    samples: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.samples:
            return f"one of {len(self.samples)} recorded"
        if not self.spread:
            return _ms(self.least)
        if self.shape == "uniform":
            return f"{_ms(self.least)} to {_ms(self.least + self.spread)}"
        return f"{_ms(self.least)} and {_ms(self.spread)} more on average"

    def after(self, other: "Latency") -> "Latency":
        """As long as both together; the other's chance is taken at its mean."""
        added = other.mean
        return replace(self, least=self.least + added, samples=tuple(each + added for each in self.samples))

    @property
    def mean(self) -> int:
        if self.samples:
            return sum(self.samples) // len(self.samples)
        return self.least + (self.spread // 2 if self.shape == "uniform" else self.spread)


class PaperModels(Struct, frozen=True, kw_only=True):
    """The file's block `paper`. `order` and `cancel` are until the exchange has the request, `data` until its answers
    and its news are here; `processing` is what the exchange takes from there to its engine (wire reference 5.2).

    `balances` empty: what is usual for the markets. Fees None: the venue's own.
    """

    balances: dict[str, Decimal] = {}
    maker_fee: Decimal | None = None
    taker_fee: Decimal | None = None
    order: Latency = Latency(50 * MILLISECOND)
    cancel: Latency = Latency(50 * MILLISECOND)
    data: Latency = Latency(20 * MILLISECOND)
    processing: int = 50 * MILLISECOND
    queue: QueueModel = QueueModel()
    seed: int = 0
    recorded: str = ""  # the run whose waits are to be drawn instead of these

    def __str__(self) -> str:
        if self.recorded:
            latency = f"latency as in run {self.recorded}"
        else:
            latency = f"latency {self.order} for orders, {self.cancel} for cancels, {self.data} for data"
        return f"paper: queue {self.queue}, {latency}, {_ms(self.processing)} in the exchange"

    def with_fees(self, market: Market) -> Market:
        """The market as this account pays in it."""
        maker = market.maker_fee if self.maker_fee is None else self.maker_fee
        taker = market.taker_fee if self.taker_fee is None else self.taker_fee
        return replace(market, maker_fee=maker, taker_fee=taker)

    def measured(self, creates: Sequence[int], cancels: Sequence[int]) -> "PaperModels":
        """With the round trips (ns) of a recorded run in the place of what was assumed: half of each on either way.

        `creates` is not empty; without `cancels` theirs are taken.
        """
        order, cancel = (tuple(each // 2 for each in trips) for trips in (creates, cancels or creates))
        return replace(
            self, order=Latency(samples=order), cancel=Latency(samples=cancel), data=Latency(samples=order + cancel)
        )

    def folded(self) -> "PaperModels":
        """The same for whoever decides on news that have no way to go: their way is added to that of requests.

        A decision on news `data` old, `order` on its way, meets the same book as one on this moment's news that is
        `data` + `order` on its way.
        """
        return replace(self, order=self.order.after(self.data), cancel=self.cancel.after(self.data), data=Latency())


def _ms(time: int) -> str:
    return f"{time / MILLISECOND:g} ms"
