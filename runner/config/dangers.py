"""What is legal in a file, and dangerous. A warning stands where a problem would stand, and keeps no run from starting.

Each rule looks at the file as it was read, at the market's rules where they are known without asking the venue, and at
what the strategy says of itself (`Strategy.traits`). What is not known is not warned of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from urllib.parse import urlsplit

from msgspec import Struct

from runner.config.plugins import traits
from runner.config.problems import Path, Place, Problem, in_order, problem
from runner.config.spec import Deployment, RunSpec, Sandbox
from runner.config.tree import Keys, Node
from runner.engine.strategy import Traits
from runner.model.market import Market
from runner.model.money import MONEY, plain
from runner.model.settings import SECOND, Limits
from runner.model.units import Duration

LOSS_LIMITS = ("max_daily_loss", "max_drawdown")
"""Keys of `risk`, of which a run with real money wants one."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Subject(Struct, frozen=True):
    """A file that is right. `market` is None where its rules are not known here."""

    spec: RunSpec
    traits: Traits
    market: Market | None


Rule = Callable[[Subject], Iterator[Problem]]


def warnings(spec: RunSpec, markets: Mapping[str, Market]) -> tuple[Problem, ...]:
    """What is dangerous in a file that is right. `markets` are those whose rules are known, by symbol."""
    # A strategy sees the first market unless it names another.
    subject = Subject(spec, traits(spec.strategy), markets.get(spec.settings.markets[0]))
    return in_order(found for rule in RULES for found in rule(subject))


def _spread_below_fees(subject: Subject) -> Iterator[Problem]:
    trait, market = subject.traits.round_trip, subject.market
    if trait is None or market is None:
        return
    fees = float(MONEY.add(market.maker_fee, market.maker_fee))
    if trait.value < fees * (1 - 1e-9):  # a spread of exactly two fees breaks even, in floats too
        what = (
            f"buying and selling again may earn no more than {_percent(trait.value)}, and two fees of {market.symbol} "
            f"cost {_percent(fees)}: a round trip then loses"
        )
        sum_of = " and ".join(trait.parameters) + (" together" if trait.parameters[1:] else "")
        fix = f"let {sum_of} be more than {_percent(fees)}"
        yield _warning(subject, trait.parameters, "spread.fees", what, fix)


def _amount_below_minimum(subject: Subject) -> Iterator[Problem]:
    trait, market = subject.traits.quantity, subject.market
    if trait is not None and market is not None and market.lots_for(trait.value) < market.lots(market.quantity_min):
        least = f"{plain(market.quantity_min)} {market.base}"
        what = f"{market.symbol} takes no order below {least}: there would never be one"
        yield _warning(subject, trait.parameters, "amount.minimum", what, f"write {least} or more")


def _refresh_beyond_budget(subject: Subject) -> Iterator[Problem]:
    refresh, budget = subject.traits.refresh, subject.spec.connector.rate_limit
    if refresh is None:
        return
    # Replacing an order takes two requests, of which the one that places it may not use what is kept for cancels.
    orders = min(budget.requests // 2, budget.requests - subject.spec.settings.cancel_reserve)
    if refresh.orders * budget.per_ns <= orders * refresh.every:
        return
    window = Duration.of(budget.per_ns)
    what = (
        f"up to {refresh.orders} orders are replaced every {Duration.of(refresh.every)}, and the budget of "
        f"{budget.requests} requests in {window} suffices for {orders} in {window}: the rest comes late"
    )
    enough = math.ceil(Decimal(refresh.orders * budget.per_ns) / max(1, orders) / SECOND)
    fix = f"write {enough}s or more" + (f", or a lower {refresh.parameters[1]}" if refresh.parameters[1:] else "")
    yield _warning(subject, refresh.parameters, "refresh.budget", what, fix)


def _paper_without_balances(subject: Subject) -> Iterator[Problem]:
    paper = subject.spec.connector.paper
    if paper is None:
        return
    missing = [currency for currency in _currencies(subject.spec) if currency not in paper.balances]
    if missing:
        what = (
            f"the paper account begins with a round sum of {' and '.join(missing)}"
            if not paper.balances
            else f"the paper account begins without {' and '.join(missing)}"
        )
        path = ("connector", "paper", "balances")
        found, at = _find(subject, path)
        if len(found) < 2:
            found, at = _find(subject, ("connector", "type"))
        fix = f"say what it holds, as in balances: {{{missing[0]}: 10}}, or 0"
        yield problem(at, path, "paper.balances", what, fix)


def _live_without_loss_limit(subject: Subject) -> Iterator[Problem]:
    limits = subject.spec.settings.limits
    known = [name for name in LOSS_LIMITS if name in Limits.__struct_fields__]
    if known and not any(getattr(limits, name) for name in known) and _real(subject.spec):
        here = ("risk",) if _find(subject, ("risk",))[0] else ("connector", "venue")
        what, fix = "nothing ends the run however much it loses", f"add {' or '.join(known)} to risk"
        yield problem(_find(subject, here)[1], ("risk",), "limit.loss", what, fix)


RULES: tuple[Rule, ...] = (
    _spread_below_fees,
    _amount_below_minimum,
    _refresh_beyond_budget,
    _paper_without_balances,
    _live_without_loss_limit,
)


def _real(spec: RunSpec) -> bool:
    """Whether real money may be traded, as far as the venue's address tells."""
    venue = spec.connector.venue
    if spec.connector.paper is not None:
        return False
    if isinstance(venue, Deployment):
        return (urlsplit(venue.rest_url).hostname or "") not in _LOOPBACK
    return not isinstance(venue, Sandbox)


def _currencies(spec: RunSpec) -> list[str]:
    """Of the file's markets, in their order."""
    return list(dict.fromkeys(currency for symbol in spec.settings.markets for currency in symbol.split("-", 1)))


def _warning(subject: Subject, parameters: tuple[str, ...], code: str, what: str, fix: str) -> Problem:
    """At the first of the parameters that the file sets."""
    paths: list[Path] = [("strategy", "params", name) for name in parameters]
    path = next((path for path in paths if _find(subject, path)[0] == path), paths[0])
    return problem(_find(subject, path)[1], path, code, what, fix)


def _find(subject: Subject, path: Path) -> tuple[Path, Place]:
    """How much of the path there is in the file, and where it points to: a value, or the key of a group."""
    node: Node = subject.spec.root
    at, found = node.at, path
    for depth, name in enumerate(path):
        if not isinstance(node, Keys) or str(name) not in node.entries:
            return path[:depth], at
        at, node = node.entries[str(name)]
        if not isinstance(node, Keys):
            at = node.at
    return found, at


def _percent(value: float) -> str:
    return f"{100 * value:.4f}".rstrip("0").rstrip(".") + "%"
