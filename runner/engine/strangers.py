"""Orders of the account that are not known to be ours: whose they are is found out, never guessed.

The private stream names orders by number only, and its news may overtake the answer to a create, or be about a copy
that a proxy made. So news of an unknown number is kept until an answer, a listing or a GET (which show the client id)
tells whose it is. Source: orders.md rules 3, 4, 13 and 23.
"""

from collections.abc import Collection

from runner.model.order import OrderRow, TradeRow

NEWS_KEPT = 10_000
OTHERS_KEPT = 10_000


class Strangers:
    """`live`: orders of others that are at work, read only: ours must not trade with them."""

    def __init__(self) -> None:
        self.live: dict[int, OrderRow] = {}
        self._others: dict[int, None] = {}  # numbers proven to be somebody else's, oldest first
        self._news: dict[int, list[OrderRow | TradeRow]] = {}
        self._count = 0

    def waiting(self) -> bool:
        """Some order is not known to be ours or somebody else's."""
        return bool(self._news)

    def asked_for(self, order_id: int) -> bool:
        return order_id in self._news

    def keep(self, order_id: int, news: OrderRow | TradeRow) -> bool:
        """Keep news of an order whose owner is unknown; True if the owner should be found out."""
        if order_id in self._others:
            if isinstance(news, OrderRow):
                self._note(news)
            return False
        if self._count < NEWS_KEPT:
            self._news.setdefault(order_id, []).append(news)
            self._count += 1
        return True

    def claim(self, order_id: int) -> list[OrderRow | TradeRow]:
        """It is ours: everything that was told of it, oldest first."""
        self._others.pop(order_id, None)
        self.live.pop(order_id, None)
        news = self._news.pop(order_id, [])
        self._count -= len(news)
        return news

    def disown(self, row: OrderRow) -> None:
        """It is somebody else's, by its client id."""
        self.drop(row.id)
        self._others[row.id] = None
        if len(self._others) > OTHERS_KEPT:
            del self._others[next(iter(self._others))]
        self._note(row)

    def drop(self, order_id: int) -> None:
        """The venue knows no such order for this account."""
        self._count -= len(self._news.pop(order_id, []))

    def listed(self, ids: Collection[int]) -> None:
        """A complete listing of what is at work: others' orders that it lacks have ended."""
        self.live = {id_: row for id_, row in self.live.items() if id_ in ids}

    def _note(self, row: OrderRow) -> None:
        if row.terminal:
            self.live.pop(row.id, None)
        else:
            self.live[row.id] = row
