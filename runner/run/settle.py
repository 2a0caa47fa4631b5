"""`runner settle`: look-ups and cancels only, until nothing of ours is unproven; the same engine, its gate shut."""

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from runner.config.spec import Deployment, RunSpec
from runner.model.exits import Exit
from runner.model.order import Order
from runner.report.tables import Column, Row, Table
from runner.run.archive import folder_of, reading
from runner.run.ends import CannotRun
from runner.run.start import Options, run
from runner.run.terminal import View

_COLUMNS = (
    Column("client_id", "client order id"),
    Column("was", "was"),
    Column("is", "is"),
    Column("how", "how that is known"),
)


class Settled(Struct, frozen=True):
    """What became of each order that was open or unproven, or unknown to the journal, before."""

    exit_code: int
    reason: str
    table: Table
    left: int


async def settle(
    spec: RunSpec, environment: Mapping[str, str], view: View, ask: Callable[[str], str] | None = None
) -> Settled:
    """Finish what a run left with exit code 7. Raises CannotRun as a run does, and 2 for the embedded sandbox."""
    if spec.connector.paper is not None or not isinstance(spec.connector.venue, Deployment):
        what = "the embedded sandbox" if spec.connector.paper is None else "a paper account"
        raise CannotRun(Exit.USAGE, f"{spec.file}: {what} ends with its run, and its orders with it")
    folder = folder_of(spec, environment, ask)
    before = _orders(folder)
    ended = await run(spec, Options(live=True, settle=True, view=view, ask=ask), environment)
    after = _orders(folder)
    rows = tuple(
        _row(before.get(name), order)
        for name, order in after.items()
        if name not in before or not before[name].state.terminal
    )
    left = sum(not order.state.terminal for order in after.values())
    return Settled(ended.exit_code, ended.reason, Table(_COLUMNS, rows, "nothing was unproven"), left)


def _orders(folder: Path) -> dict[str, Order]:
    with reading(folder) as journal:
        return {order.client_id: order for order in journal.orders()}


def _row(before: Order | None, order: Order) -> Row:
    was = "not in the journal" if before is None else before.state.value
    return {"client_id": order.client_id, "was": was, "is": order.state.value, "how": order.reason}
