"""What the shape of a file cannot say: keys that contradict each other, told at the place of the later one."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from runner.config.problems import Path, Place, Problem, problem
from runner.config.tree import Items, Keys, Node, Scalar
from runner.model.settings import TickPolicy
from runner.model.units import Amount, BadQuantity, Duration, Ratio


def contradictions(root: Keys) -> Iterator[Problem]:
    """Every check looks at what it can understand; what is no quantity at all has been told by others."""
    yield from _seed(root)
    yield from _paper(root)
    yield from _tick(root)
    yield from _resume(root)
    yield from _collar(root)
    for low, high in (("min_position", "max_position"), ("min_order_notional", "max_order_notional")):
        yield from _amounts(root, low, high)
    yield from _spreads(root)


def node(root: Node, *path: str) -> Node | None:
    """The node under these keys, None where there is none."""
    found: Node | None = root
    for name in path:
        found = found.entries[name][1] if isinstance(found, Keys) and name in found.entries else None
    return found


def place(root: Keys, path: Path) -> Place:
    """Where the value under these keys stands, or what comes closest: the key of the group that would hold it."""
    found: Node = root
    at = root.at
    for name in path:
        if not isinstance(found, Keys) or name not in found.entries:
            return at
        at, found = found.entries[str(name)]
    return at if isinstance(found, Keys) else found.at


def _conflict(at: Place, path: Path, what: str, fix: str) -> Problem:
    return problem(at, path, "value.conflict", what, fix)


def _seed(root: Keys) -> Iterator[Problem]:
    venue, seed = node(root, "connector", "venue"), node(root, "connector", "seed")
    seeded = seed is not None and not (isinstance(seed, Scalar) and seed.value is None)
    if seed is not None and seeded and _word(venue) != "sandbox":
        what = "only the sandbox has a crowd to seed"
        yield _conflict(seed.at, ("connector", "seed"), what, "remove seed, or write venue: sandbox")


def _paper(root: Keys) -> Iterator[Problem]:
    kind, paper = node(root, "connector", "type"), node(root, "connector", "paper")
    if isinstance(paper, Keys) and _word(kind) == "altmarkets":
        what = "a paper account, and the connector trades for real"
        at = place(root, ("connector", "paper"))
        yield _conflict(at, ("connector", "paper"), what, "write type: altmarkets_paper, or remove it")
    latency = node(root, "connector", "paper", "latency")
    recorded = node(root, "connector", "paper", "latency", "recorded")
    if isinstance(latency, Keys) and isinstance(recorded, Scalar) and recorded.value is not None:
        for name in ("order", "cancel", "data"):
            if name in latency.entries:
                what = f"{name} has no effect beside a recorded run"
                path = ("connector", "paper", "latency", name)
                yield _conflict(latency.entries[name][0], path, what, "remove it, or remove recorded")


def _tick(root: Keys) -> Iterator[Problem]:
    every, at_most = node(root, "tick", "every"), node(root, "tick", "at_most_every")
    interval, least = _duration(every), _duration(at_most)
    shortest = TickPolicy().at_most_every if least is None else least
    if every is not None and interval is not None and interval < shortest:
        what = f"{interval} is shorter than at_most_every, {Duration.of(shortest)}"
        fix = f"write at_most_every: {interval} or less, or a longer time here"
        yield _conflict(every.at, ("tick", "every"), what, fix)


def _resume(root: Keys) -> Iterator[Problem]:
    resume, after = node(root, "risk", "resume"), node(root, "risk", "resume_after")
    timed = after is not None and not (isinstance(after, Scalar) and after.value is None)
    if resume is not None and _word(resume) == "after" and not timed:
        yield _conflict(resume.at, ("risk", "resume"), "`after` needs a time", "add resume_after: 30m")
    elif after is not None and timed and _word(resume) != "after":
        what = "a time to resume after has no effect"
        yield _conflict(after.at, ("risk", "resume_after"), what, "write resume: after, or remove it")


def _collar(root: Keys) -> Iterator[Problem]:
    price, markets = node(root, "risk", "collar_price"), node(root, "markets")
    if price is None or (isinstance(price, Scalar) and price.value is None):
        return
    if isinstance(markets, Items) and len(markets.items) > 1:
        what = "one reference price cannot be that of several markets"
        yield _conflict(price.at, ("risk", "collar_price"), what, "remove it, or name one market")
    elif node(root, "risk", "price_collar") is None:
        what = "there is no collar that this could be the reference of"
        yield _conflict(price.at, ("risk", "collar_price"), what, "add price_collar: 5%, or remove it")


def _amounts(root: Keys, low_name: str, high_name: str) -> Iterator[Problem]:
    """A lower limit above the upper one of the same currency lets nothing pass."""
    lows, highs = node(root, "risk", low_name), node(root, "risk", high_name)
    if not isinstance(lows, Keys) or not isinstance(highs, Keys):
        return
    for currency, (_, item) in lows.entries.items():
        low, high = _amount(item), _amount(node(highs, currency))
        if low is not None and high is not None and low > high:
            what = f"{low} is above {high_name}, {high}: no order could pass"
            yield _conflict(item.at, ("risk", low_name, currency), what, f"write {high} or less")


def _spreads(root: Keys) -> Iterator[Problem]:
    low, high = node(root, "risk", "min_spread"), node(root, "risk", "max_spread")
    least, most = _ratio(low), _ratio(high)
    if low is not None and least is not None and most is not None and least.exact > most.exact:
        what = f"{least} is above max_spread, {most}: no order could pass"
        yield _conflict(low.at, ("risk", "min_spread"), what, f"write {most} or less")


# Values that may be misspelt --------------------------------------------------------------------------------


def _word(found: Node | None) -> str:
    return found.value if isinstance(found, Scalar) and isinstance(found.value, str) else ""


def _duration(found: Node | None) -> Duration | None:
    try:
        return Duration(found.text) if isinstance(found, Scalar) else None
    except BadQuantity:
        return None


def _ratio(found: Node | None) -> Ratio | None:
    try:
        return Ratio(found.text) if isinstance(found, Scalar) else None
    except BadQuantity:
        return None


def _amount(found: Node | None) -> Decimal | None:
    try:
        return Amount(found.text).exact if isinstance(found, Scalar) else None
    except BadQuantity:
        return None
