"""What a person says on the command line about the strategy's position."""

from collections.abc import Iterable
from decimal import Decimal

from runner.model.units import Amount


def stated(texts: Iterable[str]) -> dict[str, Decimal]:
    """Amounts by currency, from texts like `1500 ROGER`. Raises ValueError with what is wrong and how to write it."""
    held: dict[str, Decimal] = {}
    for text in texts:
        amount = Amount(text)
        if not amount.currency:
            raise ValueError(f'{text}: of which currency? Write "{text} ROGER"')
        if amount.currency in held:
            raise ValueError(f"{amount.currency} is said twice: once with its whole position is enough")
        held[amount.currency] = amount.exact
    return held
