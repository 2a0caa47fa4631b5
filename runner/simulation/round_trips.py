"""How long a run waited for the venue's answers: what the latency of a paper account, or of a backtest, can be."""

from collections.abc import Iterable

from msgspec import Struct

from runner.model.command import Cancel, Output, Place
from runner.model.event import Accepted, CancelAnswered, Event, Rejected


class RoundTrips(Struct, frozen=True):
    """From a decision to the event of its answer, ns, in the order of the answers. What had no answer is not in."""

    creates: tuple[int, ...]
    cancels: tuple[int, ...]


def round_trips(steps: Iterable[tuple[Event, Output]]) -> RoundTrips:
    """Of what an engine was told, and what it said to that."""
    left: dict[str | int, int] = {}  # when a request was decided, by client id or by order id
    creates: list[int] = []
    cancels: list[int] = []
    for event, output in steps:
        match event.what:
            case Accepted(client_id) | Rejected(client_id) if client_id in left:
                creates.append(event.time - left.pop(client_id))
            case CancelAnswered(order_id, row) if row is not None and order_id in left:
                cancels.append(event.time - left.pop(order_id))
        for command in output.commands:
            match command:
                case Place(client_id):
                    left[client_id] = event.time
                case Cancel(order_id):
                    left[order_id] = event.time
    return RoundTrips(tuple(creates), tuple(cancels))
