"""Laws of quantities with a unit: what is printed is read again, exactly, and nothing else is read."""

import copy
import pickle
import re
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.units import (
    DURATION_MAX,
    UNITS,
    Amount,
    BadQuantity,
    BaseAmount,
    Delay,
    Duration,
    Price,
    QuoteAmount,
    Ratio,
    Unit,
    decode,
    encode,
)

NUMBERS = st.builds(
    lambda digits, places: format(Decimal(digits).scaleb(-places), "f"),
    st.integers(-(10**17), 10**17),
    st.integers(0, 14),
)
AMOUNT_TYPES = (Amount, BaseAmount, QuoteAmount, Price)
CURRENCIES = st.from_regex(r"[A-Z0-9]{1,8}", fullmatch=True)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.from_regex(r"-?[0-9._+]{1,6} ?(%|bps|ms|s|m|h|d|BTC)?", fullmatch=True),
)


@given(number=NUMBERS, unit=st.sampled_from(("%", "bps")))
def test_a_ratio_is_exact_and_reads_what_it_prints(number: str, unit: str) -> None:
    ratio = Ratio(number + unit)
    assert ratio.exact == Decimal(number) / (100 if unit == "%" else 10_000)
    assert float(ratio) == float(ratio.exact)
    again = Ratio(str(ratio))
    assert (again.exact, again) == (ratio.exact, ratio)


@given(kind=st.sampled_from(AMOUNT_TYPES), number=NUMBERS, currency=CURRENCIES)
def test_an_amount_is_exact_and_reads_what_it_prints(kind: type[Amount], number: str, currency: str) -> None:
    amount = kind(f"{number} {currency}")
    assert (amount.exact, amount.currency) == (Decimal(number), currency)
    assert float(amount) == float(Decimal(number))
    again = kind(str(amount))
    assert (again.exact, again.currency) == (amount.exact, currency)


@given(nanoseconds=st.integers(0, DURATION_MAX))
def test_a_duration_reads_what_it_prints(nanoseconds: int) -> None:
    duration = Duration.of(nanoseconds)
    assert duration == nanoseconds
    assert Duration(str(duration)) == nanoseconds
    assert duration.seconds == nanoseconds / 10**9


@given(kind=st.sampled_from(UNITS), text=TEXTS)
def test_every_text_is_read_or_refused_with_advice(kind: type[Unit], text: str) -> None:
    try:
        assert kind(str(kind(text))) == kind(text)
    except BadQuantity as error:
        said = (error.what, error.fix)
        assert all(said)  # refusing is as good as reading


@given(kind=st.sampled_from(UNITS), text=TEXTS)
def test_the_pattern_for_editors_accepts_what_is_read_and_nothing_else(kind: type[Unit], text: str) -> None:
    matches = re.search(kind.pattern, text) is not None and not text.endswith("\n")
    try:
        value = kind(text)
    except BadQuantity:
        # A number alone can still be too long or too fine for a duration, and a delay end before it begins.
        assert not matches or kind in (Duration, Delay)
    else:
        bare = value in (0, "0s") or (isinstance(value, Amount) and not value.currency)
        assert matches or bare


@pytest.mark.parametrize(
    ("kind", "text", "printed", "number"),
    [
        (Ratio, "40bps", "0.4%", 0.004),
        (Ratio, "0.4%", "0.4%", 0.004),
        (Ratio, "0.4 %", "0.4%", 0.004),
        (Ratio, "-5bps", "-0.05%", -0.0005),
        (Ratio, "0", "0%", 0.0),
        (Ratio, 0, "0%", 0.0),
        (BaseAmount, "1000 ROGER", "1000 ROGER", 1000.0),
        (BaseAmount, "1000  1INCH", "1000 1INCH", 1000.0),
        (BaseAmount, "1000.50", "1000.5", 1000.5),
        (BaseAmount, Decimal("1E+3"), "1000", 1000.0),
        (QuoteAmount, "50 USDT", "50 USDT", 50.0),
        (Price, "0.000051 BTC", "0.000051 BTC", 0.000051),
        (Duration, "500ms", "500ms", 500 * 10**6),
        (Duration, "30s", "30s", 30 * 10**9),
        (Duration, "90s", "90s", 90 * 10**9),
        (Duration, "1.5h", "90m", 5400 * 10**9),
        (Duration, "55m", "55m", 3300 * 10**9),
        (Duration, "24h", "1d", 86_400 * 10**9),
        (Duration, "0.000001ms", "0.000001ms", 1),
        (Duration, 0, "0s", 0),
    ],
)
def test_examples(kind: type[Unit], text: object, printed: str, number: float) -> None:
    value = kind(text)  # type: ignore[arg-type]
    assert (str(value), value) == (printed, number)
    assert f"{value}" == printed


@pytest.mark.parametrize(
    ("kind", "text", "fix"),
    [
        (Ratio, "0.4", "write 0.4% or 0.4bps"),
        (Ratio, 40, "write 40% or 40bps"),
        (Ratio, "40bp", "write 40bps"),
        (Ratio, "40 BPS", "write 40bps"),
        (Ratio, "4 percent", "write 4%"),
        (Ratio, "40 ROGER", "the units are %, bps"),
        (Ratio, "1_000%", "write 1000%"),
        (Ratio, ".5%", "write 0.5%"),
        (Ratio, "1e3%", "the units are %, bps"),
        (Ratio, True, "write it as in 40bps or 0.4%"),
        (Ratio, "1,5%", "write it as in 40bps or 0.4%"),
        (BaseAmount, "1000 roger", "write 1000 ROGER"),
        (BaseAmount, "1000ROGER", "write 1000 ROGER"),
        (BaseAmount, "1_000 ROGER", "write 1000 ROGER"),
        (BaseAmount, "1000 RO-GER", "write it as in 1000 ROGER"),
        (BaseAmount, "", "write it as in 1000 ROGER"),
        (Duration, "30", "write 30s or 30m"),
        (Duration, "5min", "write 5m"),
        (Duration, "30s ", "write 30s"),
        (Duration, "007s", "write 7s"),
        (Duration, "1h30m", "the units are ms, s, m, h, d"),
        (Duration, "-1s", "write a shorter one"),
        (Duration, "36501d", "write a shorter one"),
        (Duration, "0.0000001ms", "write fewer decimals"),
    ],
)
def test_advice(kind: type[Unit], text: object, fix: str) -> None:
    with pytest.raises(BadQuantity) as caught:
        kind(text)  # type: ignore[arg-type]
    assert caught.value.fix == fix


@pytest.mark.parametrize("value", [Ratio("40bps"), BaseAmount("1000 ROGER"), QuoteAmount("5"), Duration("1500ms")])
def test_copies_and_pickles_keep_everything(value: Unit) -> None:
    for again in (copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert (type(again), str(again), again) == (type(value), str(value), value)


def test_quantities_calculate_as_numbers() -> None:
    assert 0.00005 * Ratio("50%") == 0.000025
    assert BaseAmount("10 ROGER") / 4 == 2.5
    assert Duration("1s") + 1 == 1_000_000_001


class Wanted(msgspec.Struct):
    spread: Ratio
    amount: BaseAmount | None = None
    ages: tuple[Duration, ...] = ()


def test_msgspec_reads_and_writes_them_as_text() -> None:
    text = b'{"spread":"0.4%","amount":"1000 ROGER","ages":["30s","1h"]}'
    value = msgspec.json.decode(text, type=Wanted, dec_hook=decode)
    assert (value.spread, value.amount, value.ages) == (0.004, 1000, (30 * 10**9, 3600 * 10**9))
    assert msgspec.json.encode(value, enc_hook=encode) == text
    with pytest.raises(msgspec.ValidationError, match=r"has no unit.*\$\.spread"):
        msgspec.convert({"spread": "0.4"}, Wanted, dec_hook=decode)


@pytest.mark.parametrize(
    ("text", "printed", "least", "more", "shape"),
    [
        ("50ms", "50ms", 50, 0, "uniform"),
        ("0", "0s", 0, 0, "uniform"),
        ("40ms to 80ms", "40ms to 80ms", 40, 40, "uniform"),
        ("0.04s to 0.08s", "40ms to 80ms", 40, 40, "uniform"),
        ("40ms + 20ms", "40ms + 20ms", 40, 20, "exponential"),
    ],
)
def test_a_delay_is_constant_or_drawn(text: str, printed: str, least: int, more: int, shape: str) -> None:
    delay = Delay(text)
    assert str(delay) == printed
    assert (delay.least, delay.more, delay.shape) == (least * 10**6, more * 10**6, shape)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("50", "write 50s or 50m"),
        ("80ms to 40ms", "write 40ms to 80ms"),
        ("40ms  to 80ms", "write 40ms"),
        ("40ms to soon", "write it as in 30s or 500ms or 55m"),
        ("fast", "write it as in 50ms or 40ms to 80ms or 40ms + 20ms"),
    ],
)
def test_a_delay_that_is_none_is_refused_with_advice(text: str, fix: str) -> None:
    with pytest.raises(BadQuantity) as caught:
        Delay(text)
    assert caught.value.fix == fix
