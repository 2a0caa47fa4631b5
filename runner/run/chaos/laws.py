"""What must be true of a run, whatever went wrong, by the exchange's own truth. Source: orders.md, Laws."""

from collections.abc import Iterator

from runner.run.chaos.world import World


def books_balance(world: World) -> Iterator[str]:
    """Every order of ours at the venue is in the journal, every fill is counted once, no client id was used twice."""
    rows = world.venue_orders()
    known = {id_ for order in world.journal.orders.values() for id_ in order.venue_ids}
    if set(rows) != known:
        yield f"orders {sorted(set(rows) ^ known)} are at the venue or in the journal, but not in both"
    if odd := set(world.journal.fills) ^ world.venue_fills():
        yield f"fills {sorted(odd)} are at the venue or in the journal, but not in both"
    names = [row["client_id"] for row in rows.values()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"client ids {twice} were used more than once"


def nothing_left(world: World) -> Iterator[str]:
    """Exit 0: nothing of ours is ever live again. The venue runs on alone for a day."""
    world.let_pass(24 * 3600)
    for row in world.venue_orders().values():
        if row["state"] in {"pending", "wait"}:
            yield f"order {row['id']} ({row['client_id']}) is {row['state']} a day after the end"
