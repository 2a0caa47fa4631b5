"""Which markets a venue has, as far as that is known without asking it."""

from collections.abc import Mapping

from runner.config.spec import Sandbox, Venue
from runner.model.market import Market
from runner.simulation.markets import SANDBOX_MARKETS


def known_markets(venue: Venue) -> Mapping[str, Market] | None:
    """Markets by symbol; None for a venue that has to be asked."""
    if isinstance(venue, Sandbox):
        return {market.symbol: market for market in SANDBOX_MARKETS}
    return None
