"""What comes in from the sockets, in the order in which it came: the items of the run's one bounded channel.

`received` is the run's clock (UTC ns) when the last byte of it was read. For each attempt to connect a stream tells
one of these stories: `Refused` | `Disconnected` | `Connected, Frames..., Disconnected`.
"""

from msgspec import Struct

from runner.altmarkets.rest import NoResponse, Response
from runner.model.command import Command
from runner.model.event import Stream, What


class Connected(Struct, frozen=True):
    """A socket is open and shook hands; subscriptions are on their way."""

    stream: Stream
    received: int


class Frames(Struct, frozen=True):
    """All messages that one read of a socket completed, as UTF-8 text or binary, oldest first."""

    stream: Stream
    texts: tuple[bytes, ...]
    received: int


class Disconnected(Struct, frozen=True):
    """The connection is gone, or an attempt to make one failed. Another attempt follows after a back-off."""

    stream: Stream
    reason: str
    received: int


class Refused(Struct, frozen=True):
    """The venue answered the handshake with an HTTP status instead, such as 401. It is tried again all the same."""

    stream: Stream
    status: int
    body: bytes
    received: int


class Answered(Struct, frozen=True):
    """What became of a request that was sent for `command`."""

    command: Command
    answer: Response | NoResponse
    received: int
    nonce: int | None = None  # venue ms a create was signed with, if it was


class Observed(Struct, frozen=True):
    """Something the run itself saw: a signal, the end of its time."""

    what: What
    received: int


class Due(Struct, frozen=True):
    """A paper account has something to tell, or to do."""

    received: int


Item = Connected | Frames | Disconnected | Refused | Answered | Observed | Due
