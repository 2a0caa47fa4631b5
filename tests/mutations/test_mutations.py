# ruff: noqa: E501, ISC004 - source texts, before and after
"""Deliberate bugs, each of which the simulator has to find within a hundred seeds.

A mutation replaces text that stands exactly once in a file; where the code has moved on it fails and wants a new text.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SEEDS, SECONDS = 100, 300
WORKERS = os.cpu_count() or 1


class Mutation(NamedTuple):
    name: str
    file: str
    edits: tuple[tuple[str, str], ...]


def mutation(name: str, file: str, *edits: tuple[str, str]) -> Mutation:
    return Mutation(name, f"runner/{file}.py", edits)


ORDERS, WATCH, ACCOUNT, WORLD = "engine/orders", "engine/watch", "engine/account", "run/chaos/world"
COPIES, CANCELS, TIERS = "engine/copies", "engine/cancels", "engine/tiers"

MUTATIONS = (
    mutation("a timeout is a refusal", ACCOUNT,
             ("self.orders.unknown_outcome(what.client_id, what.reason, now, out)",
              "self.orders.refused(what.client_id, what.reason, now, out)")),
    mutation("what was on its way at a crash was never sent", ORDERS,
             ('state=OrderState.UNKNOWN, reason="restart"', 'state=OrderState.REJECTED, reason="restart"')),
    mutation("absent after two quick look-ups", WATCH, ("search.began < too_late", "False")),
    mutation("a row without a name is no candidate", WATCH,
             ("        if candidates or not (search.evidence", "        if not (search.evidence")),
    mutation("fills are known by their second", "model/order",
             ("return (self.trade_id, self.order_id)", "return (self.traded_at, self.order_id)")),
    mutation("a fill may be booked again", "engine/ledger", ("        if known is None:\n", "        if True:\n")),
    mutation("a provisional fee stays", "engine/ledger",
             ("if known.fee_final or not fill.fee_final:", "if True:")),
    mutation("a cancel is believed on its 201", ACCOUNT,
             ("        if what.row is not None:\n            self.orders.row(what.row, now, out)",
              "        if what.row is not None:\n            import msgspec\n"
              '            self.orders.row(msgspec.structs.replace(what.row, state="cancel"), now, out)')),
    mutation("a generation is used again", ORDERS,
             ("generation = self._generations.get(target.slot, -1) + 1",
              "generation = max(0, self._generations.get(target.slot, -1))")),
    mutation("generations are forgotten by a restart", ORDERS, ("self._generations.update(generations)", "pass")),
    mutation("written after it was sent", WORLD,
             ('        if urgent and self._dies("before_commit"):\n            return None\n', ""),
             ("        self.journal.commit(changes)\n",
              '        if urgent and self.doom is not None:\n            self._late = changes\n            return None\n'
              "        self.journal.commit(changes)\n")),
    mutation("a power loss takes the last commit along", WORLD,
             ("        self.journal.commit(changes)\n",
              "        self._before = self.journal.copy()\n        self.journal.commit(changes)\n"),
             ("        self.crashes += 1\n", '        self.journal = getattr(self, "_before", self.journal)\n'
              "        self.crashes += 1\n")),
    mutation("the gate stays open at a stop", "engine/core",
             ("if self.stop is None and self._tick_due(now):", "if self._tick_due(now):")),
    mutation("a create is sent twice", WORLD,
             ("                self._take(command)\n            if isinstance(command, Place | Cancel)",
              "                self._take(command)\n                self._take(command)\n"
              "            if isinstance(command, Place | Cancel)")),
    mutation("what nobody answered is not counted", ORDERS,
             ("return [*self._live.values(), *late]",
              "return [o for o in self._live.values() if o.state is not OrderState.UNKNOWN]")),
    mutation("what is executed and not booked is not counted", "model/order",
             ("return self.lots * max(1, len(self.venue_ids)) - self.filled_lots\n",
              "return self.remaining_lots\n")),
    mutation("buys and sells are netted", "engine/risk",
             ("return MONEY.add(held, self._received.get(currency, ZERO))",
              "return MONEY.subtract(held, self._paid.get(currency, ZERO))")),
    mutation("a slot is free while its order is unknown", "engine/reconcile",
             ("        occupied.add(order.slot)\n",
              "        if order.state is not OrderState.UNKNOWN:\n            occupied.add(order.slot)\n")),
    mutation("an order ends before its fills are known", ORDERS,
             ("        if order.filled_lots != order.executed_lots:\n", "        if False:\n")),
    mutation("a restart forgets the fills", ACCOUNT,
             ("        for fill in restored.fills:\n            self.ledger.book(fill)\n",
              "        for fill in restored.fills:\n")),
    mutation("a stop does not wait for its cancels", "engine/stop",
             ("        return all(order.client_id in left and order.state in _LISTED for order in account.orders.live())\n",
              "        return True\n")),
    mutation("a lost journal's fills are left out", ACCOUNT,
             ("        for name, row, trades in found.orders:\n", "        for name, row, trades in found.orders[:0]:\n")),
    mutation("another instance's orders are ours", ORDERS,
             ('            if adoption is not None and adoption.why == "other_instance":\n', "            if False:\n"),
             ('        if why != "other_instance":\n            self._store(order)\n', "        if True:\n            self._store(order)\n")),
    mutation("a look-up stops at the first row", ACCOUNT,
             ("in self.orders.rows(what.rows, now, out):",
              "in self.orders.rows(what.rows if name is None else what.rows[:1], now, out):"),
             ("candidates = [row for row in what.rows if", "candidates = [row for row in what.rows[:1] if")),
    mutation("a look-up does not wait for a slow create", TIERS,
             ("(latest + NONCE_WINDOW + settle + LOOK_UP_MARGIN) // SECOND + 1", "(latest + NONCE_WINDOW) // SECOND + 1")),
    mutation("a cancel is posted once", CANCELS,
             ("        if cancel is not None and cancel.posted:\n", "        if False:\n")),
    mutation("only one copy's volume counts", COPIES,
             ("return sum(copy.executed_lots for copy in self.of(name).values())",
              "return max(copy.executed_lots for copy in self.of(name).values())")),
    mutation("a copy is not counted", "model/order",
             ("self.lots * max(1, len(self.venue_ids)) - self.filled_lots\n", "self.lots - self.filled_lots\n")),
    mutation("a second number replaces the first", ORDERS,
             ("ids = tuple(sorted({*order.venue_ids, order_id}))", "ids = (order_id,)")),
)  # fmt: skip


def planted(into: Path, chosen: Mutation | None) -> Path:
    """A copy of the product, with the bug in it."""
    for package in ("runner", "strategies"):
        shutil.copytree(ROOT / package, into / package, ignore=shutil.ignore_patterns("__pycache__"))
    if chosen is not None:
        path = into / chosen.file
        text = path.read_text()
        for before, after in chosen.edits:
            assert text.count(before) == 1, f"{chosen.file} holds this {text.count(before)} times: {before}"
            text = text.replace(before, after)
        path.write_text(text)
    return into


def hunt(tree: Path, seeds: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name("hunt.py")), str(seeds), str(SECONDS)],
        env={**os.environ, "PYTHONPATH": str(tree)},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_simulator_finds_every_planted_bug(tmp_path: Path) -> None:
    trees = {chosen.name: planted(tmp_path / str(number), chosen) for number, chosen in enumerate(MUTATIONS)}
    with ThreadPoolExecutor(WORKERS) as workers:
        found = dict(zip(trees, workers.map(lambda tree: hunt(tree, SEEDS), trees.values()), strict=True))
    missed = {
        name: hunted.stdout + hunted.stderr
        for name, hunted in found.items()
        if hunted.returncode != 1 or not hunted.stdout.startswith("seed ")
    }
    assert missed == {}
    assert len(found) >= 20


@pytest.mark.slow
def test_without_a_bug_it_finds_nothing(tmp_path: Path) -> None:
    found = hunt(planted(tmp_path, None), 20)
    assert (found.returncode, found.stdout) == (0, "nothing in 20 seeds\n"), found.stdout + found.stderr
