"""Laws of the ledger, against books kept in fractions."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs

from runner.engine.ledger import COST_PLACES, Ledger
from runner.model.market import Market
from runner.model.money import MONEY, ONE, ZERO, share
from runner.model.order import Fill, Role, Side

ROGER_BTC = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=ONE,
)
ROGER_USDT = structs.replace(ROGER_BTC, id="rogerusdt", quote="USDT", price_precision=4, amount_precision=0)
MARKETS = {market.symbol: market for market in (ROGER_BTC, ROGER_USDT)}


def fill_of(
    trade_id: int,
    side: Side,
    price: str,
    quantity: str,
    fee: str = "0",
    fee_currency: str | None = None,
    order_id: int = 1,
    symbol: str = "ROGER-BTC",
    fee_final: bool = False,
) -> Fill:
    market = MARKETS[symbol]
    received = market.base if side is Side.BUY else market.quote
    return Fill(
        trade_id=trade_id,
        order_id=order_id,
        client_id=f"R{order_id}",
        market=symbol,
        side=side,
        ticks=market.ticks(Decimal(price)),
        lots=market.lots(Decimal(quantity)),
        role=Role.MAKER,
        fee=Decimal(fee),
        fee_currency=fee_currency or received,
        time=0,
        traded_at=0,
        fee_final=fee_final,
    )


@st.composite
def fills(draw: st.DrawFn) -> Fill:
    """A fill; its key is drawn from few, so that keys repeat. Fees to sixteen decimals, as the venue keeps them."""
    symbol = draw(st.sampled_from(sorted(MARKETS)))
    side = draw(st.sampled_from(Side))
    lots = draw(st.integers(1, 10**7))
    rate = draw(st.integers(0, 500_000) | st.just(1_000_000))  # the last one eats all that was received
    market = MARKETS[symbol]
    ticks = draw(st.integers(1, 10**6))
    received = market.quantity(lots) if side is Side.BUY else market.notional(ticks, lots)
    currency = market.base if side is Side.BUY else market.quote
    return Fill(
        trade_id=draw(st.integers(1, 40)),
        order_id=draw(st.integers(1, 3)),
        client_id=f"R{draw(st.integers(1, 3))}",
        market=symbol,
        side=side,
        ticks=ticks,
        lots=lots,
        role=draw(st.sampled_from(Role)),
        fee=received * Decimal(rate).scaleb(-6),
        fee_currency=draw(st.sampled_from([currency] * 6 + [market.base, market.quote, "FEECOIN"])),
        time=draw(st.integers(0, 100)),
        traded_at=0,
        fee_final=draw(st.booleans()),
    )


distinct_fills = st.lists(fills(), max_size=25, unique_by=lambda fill: fill.key)
marks = st.integers(1, 10**6).map(ROGER_BTC.price)


def ledger_of(some: Iterable[Fill], initial: dict[str, Decimal] | None = None) -> Ledger:
    ledger = Ledger(MARKETS, initial or {})
    for fill in some:
        ledger.book(fill)
    return ledger


def everything(ledger: Ledger) -> object:
    """All that a reader can see of a ledger."""
    return (
        ledger.count,
        {currency: ledger.position(currency) for currency in ("ROGER", "BTC", "USDT", "FEECOIN")},
        {symbol: ledger.holding(symbol) for symbol in MARKETS},
        ledger.volume,
        ledger.fees,
        ledger.realised,
        {name: (ledger.filled_lots(name), ledger.order_fills(name)) for name in ("R1", "R2", "R3")},
    )


# The same in fractions --------------------------------------------------------------------------------------


def received(fill: Fill) -> tuple[Fraction, Fraction]:
    market = MARKETS[fill.market]
    base = Fraction(fill.lots * fill.side.sign, 10**market.amount_precision)
    quote = -base * Fraction(fill.ticks, 10**market.price_precision)
    fee = Fraction(fill.fee)
    return base - fee * (fill.fee_currency == market.base), quote - fee * (fill.fee_currency == market.quote)


def average_cost(some: Iterable[Fill]) -> tuple[Fraction, Fraction, Fraction]:
    """Base, cost and realised profit by the textbook: unit by unit at the average price, without rounding."""
    held = cost = realised = Fraction(0)
    for fill in sorted(some, key=lambda fill: fill.key):
        base, quote = received(fill)
        if base == 0:
            realised += quote
            continue
        price = -quote / base
        closing = -max(-abs(held), -abs(base)) if held * base < 0 else Fraction(0)
        if closing:
            average = cost / held
            direction = 1 if held > 0 else -1
            realised += direction * closing * (price - average)
            cost -= direction * closing * average
            held -= direction * closing
            base += direction * closing
        held += base
        cost += base * price
    return held, cost, realised


# Laws -------------------------------------------------------------------------------------------------------


@given(distinct_fills, st.randoms(use_true_random=False))
def test_books_are_a_function_of_the_set_of_fills(some: list[Fill], random: object) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert everything(ledger_of(some)) == everything(ledger_of(shuffled))


@given(distinct_fills, st.data())
def test_reading_in_between_changes_nothing(some: list[Fill], data: st.DataObject) -> None:
    read = Ledger(MARKETS, {})
    for fill in data.draw(st.permutations(some)):
        read.book(fill)
        everything(read)
    assert everything(read) == everything(ledger_of(some))


@given(distinct_fills)
def test_booking_twice_changes_nothing(some: list[Fill]) -> None:
    ledger = ledger_of(some)
    before = everything(ledger)
    assert [ledger.book(fill) for fill in some] == [None] * len(some)
    assert everything(ledger) == before


@given(distinct_fills, marks)
def test_profit_is_what_flowed_in_plus_what_is_left_to_the_last_digit(some: list[Fill], mark: Decimal) -> None:
    ledger = ledger_of(some)
    for symbol in MARKETS:
        flows = [received(fill) for fill in some if fill.market == symbol]
        base, quote = (sum((flow[side] for flow in flows), Fraction(0)) for side in (0, 1))
        unrealised = ledger.unrealised(symbol, mark)
        assert unrealised is not None
        assert Fraction(ledger.holding(symbol).realised) + Fraction(unrealised) == quote + base * Fraction(mark)


@given(distinct_fills)
def test_realised_profit_is_the_textbooks_within_the_stated_rounding(some: list[Fill]) -> None:
    ledger = ledger_of(some)
    for symbol in MARKETS:
        ours = [fill for fill in some if fill.market == symbol]
        base, cost, realised = average_cost(ours)
        holding = ledger.holding(symbol)
        bound = Fraction(len(ours), 10**COST_PLACES)
        assert Fraction(holding.own_base) == base
        assert abs(Fraction(holding.realised) - realised) <= bound
        if holding.average_price is None:
            assert base == 0
        else:
            assert abs(Fraction(holding.average_price) * base - cost) <= bound + abs(cost) / 10**50


@given(distinct_fills, st.dictionaries(st.sampled_from(["ROGER", "BTC"]), st.integers(-9999, 9999).map(Decimal)))
def test_positions_fees_and_volume_are_plain_sums(some: list[Fill], initial: dict[str, Decimal]) -> None:
    ledger = ledger_of(some, initial)
    for currency in ("ROGER", "BTC", "USDT", "FEECOIN"):
        fees = sum((Fraction(fill.fee) for fill in some if fill.fee_currency == currency), Fraction(0))
        gross = turned = Fraction(0)
        for fill in some:
            market = MARKETS[fill.market]
            base = Fraction(fill.lots * fill.side.sign, 10**market.amount_precision)
            amount = {
                market.base: base,
                market.quote: -base * Fraction(fill.ticks, 10**market.price_precision),
            }.get(currency, Fraction(0))
            gross += amount
            turned += abs(amount)
        assert Fraction(ledger.position(currency)) == Fraction(initial.get(currency, ZERO)) + gross - fees
        assert Fraction(ledger.fees.get(currency, ZERO)) == fees
        assert Fraction(ledger.volume.get(currency, ZERO)) == turned


@given(distinct_fills, st.data())
def test_a_final_fee_leads_to_the_books_that_knew_it_from_the_start(some: list[Fill], data: st.DataObject) -> None:
    provisional = [structs.replace(fill, fee=fill.fee * data.draw(st.integers(0, 2)), fee_final=False) for fill in some]
    final = [structs.replace(fill, fee_final=True) for fill in some]
    ledger = ledger_of(provisional)
    for fill in data.draw(st.permutations(final)):
        assert ledger.book(fill) == fill
    assert everything(ledger) == everything(ledger_of(final))
    assert [ledger.book(fill) for fill in provisional] == [None] * len(some)


def test_a_long_history_folds_again_from_a_checkpoint() -> None:
    history = [
        fill_of(number, side, "0.00005", quantity)
        for number, (side, quantity) in enumerate([(Side.BUY, "7.03"), (Side.SELL, "6.01")] * 150)
    ]
    late, corrected = history[130], structs.replace(history[20], fee=Decimal("0.5"), fee_final=True)
    ledger = ledger_of(fill for fill in history if fill is not late)
    everything(ledger)
    ledger.book(late)
    assert everything(ledger) == everything(ledger_of(history))
    ledger.book(corrected)
    assert everything(ledger) == everything(ledger_of([*history[:20], corrected, *history[21:]]))


@given(
    *[st.integers(-(10**40), 10**40).map(lambda units: Decimal(units).scaleb(-20, MONEY)) for _ in range(3)],
    st.integers(0, 30),
)
def test_a_share_is_cut_once_and_towards_zero(whole: Decimal, part: Decimal, total: Decimal, places: int) -> None:
    assume(total and abs(Fraction(part) / Fraction(total)) <= 1)
    exact = Fraction(whole) * Fraction(part) / Fraction(total)
    cut = Fraction(share(whole, part, total, places))
    assert abs(cut) <= abs(exact) < abs(cut) + Fraction(1, 10**places)
    assert cut == 0 or (cut > 0) == (exact > 0)


# Examples a reader can check by hand ------------------------------------------------------------------------


def test_the_references_worked_example() -> None:
    """Wire reference, section 5: 600 bought at two prices, 598.5 received."""
    ledger = ledger_of(
        [
            fill_of(9001, Side.BUY, "0.000001", "300", fee="0.75"),
            fill_of(9002, Side.BUY, "0.00000101", "300", fee="0.75"),
        ]
    )
    holding = ledger.holding("ROGER-BTC")
    assert (holding.base, ledger.position("ROGER")) == (Decimal("598.5"), Decimal("598.5"))
    assert ledger.position("BTC") == Decimal("-0.000603")
    assert holding.average_price is not None
    assert holding.average_price.quantize(Decimal("1e-12")) == Decimal("0.000001007519")  # the fee raises it
    assert ledger.volume == {"ROGER": Decimal(600), "BTC": Decimal("0.000603")}
    assert ledger.fees == {"ROGER": Decimal("1.5")}
    assert ledger.filled_lots("R1") == 60_000


def test_selling_what_was_held_before_opens_a_short_own_position() -> None:
    ledger = ledger_of([fill_of(1, Side.SELL, "0.00006", "100")], {"ROGER": Decimal(1000)})
    holding = ledger.holding("ROGER-BTC")
    assert (holding.base, holding.own_base) == (Decimal(900), Decimal(-100))
    assert (holding.average_price, holding.realised) == (Decimal("0.00006"), ZERO)
    assert ledger.unrealised("ROGER-BTC", Decimal("0.00005")) == Decimal("0.001")
    ledger.book(fill_of(2, Side.BUY, "0.00005", "100"))
    assert ledger.realised == {"BTC": Decimal("0.001")}
    assert ledger.unrealised("ROGER-BTC", None) == ZERO


def test_a_sell_through_zero_realises_one_part_and_opens_with_the_other() -> None:
    ledger = ledger_of([fill_of(1, Side.BUY, "0.00004", "100"), fill_of(2, Side.SELL, "0.00006", "150")])
    holding = ledger.holding("ROGER-BTC")
    assert (holding.own_base, holding.average_price) == (Decimal(-50), Decimal("0.00006"))
    assert holding.realised == Decimal("0.002")


def test_unrealised_needs_a_mark_only_where_something_is_held() -> None:
    ledger = ledger_of([fill_of(1, Side.BUY, "0.00004", "100")])
    assert ledger.unrealised("ROGER-BTC", None) is None
    assert ledger.unrealised("ROGER-USDT", None) == ZERO


def test_a_fill_of_an_unknown_market_is_refused_and_changes_nothing() -> None:
    ledger = ledger_of([fill_of(1, Side.BUY, "0.00004", "100")])
    before = everything(ledger)
    with pytest.raises(LookupError, match="DOGE-BTC"):
        ledger.book(structs.replace(fill_of(2, Side.BUY, "0.00004", "100"), market="DOGE-BTC"))
    assert everything(ledger) == before
    assert not ledger.has((2, 1))


# A ledger's life --------------------------------------------------------------------------------------------


class LedgerMachine(RuleBasedStateMachine):
    """Fills arrive from streams and listings: late, twice, with fees that become final. The model is a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(MARKETS, {"ROGER": Decimal(50)})
        self.model: dict[tuple[int, int], Fill] = {}

    @rule(fill=fills())
    def learn(self, fill: Fill) -> None:
        known = self.model.get(fill.key)
        if known is None:
            self.model[fill.key] = fill
        elif fill.fee_final and not known.fee_final:
            self.model[fill.key] = structs.replace(
                known, fee=fill.fee, fee_currency=fill.fee_currency, role=fill.role, fee_final=True
            )
        changed = self.model[fill.key] != known
        assert self.ledger.book(fill) == (self.model[fill.key] if changed else None)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def learn_again(self, data: st.DataObject) -> None:
        assert self.ledger.book(data.draw(st.sampled_from(list(self.model.values())))) is None

    @rule()
    def restart(self) -> None:
        """A new process books what the journal kept, in the order it was learnt."""
        before = everything(self.ledger)
        self.ledger = ledger_of(self.model.values(), {"ROGER": Decimal(50)})
        assert everything(self.ledger) == before

    @invariant()
    def books_balance(self) -> None:
        assert self.ledger.count == len(self.model)
        for symbol in MARKETS:
            base, _, realised = average_cost(fill for fill in self.model.values() if fill.market == symbol)
            holding = self.ledger.holding(symbol)
            assert Fraction(holding.base) == base + 50
            assert abs(Fraction(holding.realised) - realised) <= Fraction(len(self.model), 10**COST_PLACES)
        for name in ("R1", "R2", "R3"):
            ours = sorted((fill for fill in self.model.values() if fill.client_id == name), key=lambda fill: fill.key)
            assert list(self.ledger.order_fills(name)) == ours
            assert self.ledger.filled_lots(name) == sum(fill.lots for fill in ours)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_fee_that_turns_out_to_be_in_another_currency_leaves_nothing_behind() -> None:
    """Found by the machine above: zero stayed in the provisional fee's currency, but not after a restart."""
    provisional = Fill(
        trade_id=1,
        order_id=1,
        client_id="R1",
        market="ROGER-BTC",
        side=Side.SELL,
        ticks=1,
        lots=1,
        role=Role.MAKER,
        fee=Decimal("0.5"),
        fee_currency="BTC",
        time=0,
        traded_at=0,
    )
    ledger = Ledger(MARKETS, {})
    ledger.book(provisional)
    ledger.book(structs.replace(provisional, fee=Decimal(2), fee_currency="ROGER", fee_final=True))
    assert ledger.fees == {"ROGER": Decimal(2)}
