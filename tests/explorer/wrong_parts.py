"""Parts that are wrong on purpose, to see that the explorer sees it. None of the engine's own code is touched."""

from msgspec.structs import replace

from runner.engine.core import Engine
from runner.engine.effects import Effects
from runner.model.command import Output, Place
from runner.model.event import Event, OrdersListed, Restored, Unknown
from runner.model.order import OrderState
from runner.model.settings import SECOND

from .small_world import Journal


class SendsAgain(Engine):
    """Takes a lost answer for a refusal, and asks for the same order again."""

    def handle(self, event: Event) -> Output:
        output = super().handle(event)
        if not isinstance(event.what, Unknown):
            return output
        order = self.account.orders.get(event.what.client_id)
        assert order is not None
        again = Place(order.client_id, order.market, order.side, order.ticks, order.lots, order.sign_before + 10_000)
        return replace(output, commands=(*output.commands, again))


class BelievesTwoLooks(Engine):
    """Takes two look-ups without a candidate for proof of absence, however early they were."""

    def handle(self, event: Event) -> Output:
        what = event.what
        if isinstance(what, OrdersListed) and what.venue_time is not None:
            event = replace(event, what=replace(what, venue_time=what.venue_time + 3600 * SECOND))
        return super().handle(event)


class KnowsNoDoubt(Engine):
    """Stops as soon as nothing is known to be at work, whatever became of a create without an answer."""

    def handle(self, event: Event) -> Output:
        if self.stop is not None:
            for order in list(self.account.orders.unknown()):
                self.account.orders.absent(order.client_id, event.time, Effects())
            self.account.doubt_until = 0
        return super().handle(event)


class ForgetsGenerations(Journal):
    """Restores what is at work, and not which names were burnt."""

    def restore(self, now: int) -> Restored:
        return replace(super().restore(now), generations={})


class ForgetsIntents(Journal):
    """Restores only what the exchange has acknowledged."""

    def restore(self, now: int) -> Restored:
        restored = super().restore(now)
        known = tuple(order for order in restored.orders if order.state is not OrderState.INTENDED)
        return replace(restored, orders=known)
