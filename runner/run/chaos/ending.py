"""After a run: the venue goes on alone for a day, the books are compared, and every life is replayed."""

import hashlib
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from runner.run.chaos.world import Life, World
from runner.run.replay import first_difference
from runner.simulation.laws import Violation
from runner.simulation.record import Entry, packed, unpacked

DAY_S = 86_400.0


def conclude(world: World, before: dict[str, Decimal]) -> list[Violation]:
    """Every law that the run broke. `before`: the balances (with what is locked) that it began with."""
    assert world.finish is not None, "the run has not ended"
    world.server.exchange.faults.switch_off()
    finish, left = world.finish, world.left
    if finish.exit_code == 0:
        exchange = world.venue.exchange
        moved = {currency: world.venue.balance(currency) - amount for currency, amount in before.items()}
        transfers = [transfer for transfer in exchange.transfers if transfer.member == world.grown.trader.id]
        world.laws.books(world.now, world.journal.fills, moved, transfers, world.markets, left)
    world.let_pass(DAY_S)
    world.laws.alone(world.now, finish.exit_code, left)
    for life in world.lives:
        for event, output in zip(life.log, life.outputs, strict=True):
            for note in output.notes:
                if note.what == "account.drift":  # this exchange keeps its books
                    world.laws.failed("drift", event.time, "all money is accounted for", str(note.facts))
        number = first_difference(world.strategy, recorded(life))
        if number is not None:
            event = life.log[number - 1]
            said = f"event {number} ({type(event.what).__name__}) of life {life.number} led to something else"
            world.laws.failed("replay", event.time, "the same outputs", said)
    return world.laws.violations


def recorded(life: Life) -> Iterator[Entry]:
    """What the record of this life would give back."""
    for event, output in zip(life.log, life.outputs, strict=True):
        yield from unpacked(packed(event, output))


def digest(lives: Sequence[Life]) -> str:
    """A short name for all that happened in a run: events and outputs, byte for byte."""
    hasher = hashlib.blake2b(digest_size=8)
    for life in lives:
        for event, output in zip(life.log, life.outputs, strict=True):
            hasher.update(msgspec.json.encode(event))
            hasher.update(msgspec.json.encode(output))
    return hasher.hexdigest()
