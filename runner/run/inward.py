"""From what came in to what happened: raw items of the inbox into events' contents, in order.

Here the wire's codecs meet the run; nothing waits and nothing is decided. One codec object lives as long as its
connection, so a new connection begins without the old one's sequence.
"""

from collections.abc import Iterable, Iterator, Mapping

from runner.altmarkets.messages import grids
from runner.altmarkets.rest import interpret
from runner.altmarkets.stream import PrivateStream, PublicStream
from runner.edge.inbox import Answered, Connected, Disconnected, Frames, Item, Observed, Refused
from runner.model.command import Place
from runner.model.event import Sent, StopRequested, Stream, StreamAlive, StreamDown, What
from runner.model.exits import Exit
from runner.model.market import Market
from runner.model.settings import SECOND

ALIVE_EVERY = SECOND
REFUSED_FOR_GOOD = frozenset({401, 422})


class Inward:
    """Decodes everything that comes in. `markets`: all of the venue's by symbol; `symbols`: those of the file."""

    def __init__(self, markets: Mapping[str, Market], symbols: Iterable[str]) -> None:
        self._markets = markets
        self._symbols = tuple(symbols)
        self._grids = grids(markets.values())
        self.public = PublicStream(markets.values(), self._symbols)
        self.private = PrivateStream(markets.values())
        self._alive_at = 0

    def whats(self, item: Item) -> Iterator[What]:
        """What an item means, oldest first."""
        match item:
            case Frames(stream="public"):
                if item.received >= self._alive_at:
                    self._alive_at = item.received + ALIVE_EVERY
                    yield StreamAlive("public")
                yield from self.public.receive_all(item.texts)
            case Frames():
                yield from self.private.receive_all(item.texts)
            case Answered():
                if isinstance(item.command, Place) and item.nonce is not None:
                    yield Sent(item.command.client_id, item.nonce)
                yield from interpret(item.command, item.answer, self._grids)
            case Connected():
                self._begin(item.stream)
            case Disconnected():
                yield StreamDown(item.stream, item.reason)
            case Observed():
                yield item.what
            case Refused():
                yield from self._refused(item)

    def _begin(self, stream: Stream) -> None:
        if stream == "public":
            self.public = PublicStream(self._markets.values(), self._symbols)
        else:
            self.private = PrivateStream(self._markets.values())

    def _refused(self, item: Refused) -> Iterator[What]:
        body = item.body[:200].decode(errors="replace")
        refusal = f"{item.status} {body}".rstrip()
        yield StreamDown(item.stream, f"handshake refused: {refusal}")
        if item.stream == "private" and item.status in REFUSED_FOR_GOOD and "authz.nonce_expired" not in body:
            yield StopRequested("credentials", Exit.CREDENTIALS, f"the venue refused the credentials: {refusal}")
