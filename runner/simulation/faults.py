"""What can go wrong at the exchange on purpose: the catalogue of faults, and how a switch for one is written.

A fault is either a state that lasts (every create is answered with 502 while it is on) or a moment (the engine
restarts now). Durations are ns.
Source: wire reference 11; orders.md, "What the simulator must be able to do to us".
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from runner.model.order import Side
from runner.model.units import BadQuantity, Duration

REQUESTS = ("any", "signed", "create", "cancel", "read", "public")
"""Kinds of requests that a fault can be limited to. `read`: signed GETs; `signed`: all but the public ones."""


class FaultProblem(ValueError):
    """A switch that cannot be. `field` is where: `name`, `value`, `for`, `times`, `chance`, `on`, `account`."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(what)
        self.field = field


class Fault(Struct, frozen=True):
    """One thing that can go wrong. `default` is the text of the value that is taken where none is given."""

    name: str
    says: str
    values: str  # what a value looks like, for people; empty: there is none
    default: str
    read: Callable[[str], Any]
    on: str = ""  # about which requests, unless told otherwise; empty: not about requests
    moment: bool = False


class Switch(Struct, frozen=True, kw_only=True):
    """A fault as it is switched on: for how long (ns), how often at most, and how likely each time."""

    name: str
    value: Any = None
    text: str = ""
    on: str = ""
    duration: int | None = None
    times: int | None = None
    chance: float = 1.0
    account: str = "trader"


class Order(Struct, frozen=True):
    """A human's order: no price is a market order."""

    side: Side
    volume: Decimal
    market: str
    price: Decimal | None


# Values ---------------------------------------------------------------------------------------------------


def _nothing(text: str) -> None:
    if text:
        raise ValueError("it takes no value")


def _duration(text: str) -> int:
    return int(Duration(text))


def _shift(text: str) -> int:
    return -_duration(text[1:]) if text.startswith("-") else _duration(text.removeprefix("+"))


def _count(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise ValueError("it is not a number from 1 to 9999")
    return int(text)


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"it is none of {', '.join(words)}")
        return text

    return read


def _decimal(text: str) -> Decimal:
    if not re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,16})?", text):
        raise ValueError(f"{text!r} is not a plain number")
    return Decimal(text)


def _fees(text: str) -> tuple[Decimal, Decimal]:
    maker, slash, taker = text.partition("/")
    rates = _decimal(maker), _decimal(taker if slash else maker)
    if not all(0 <= rate <= Decimal("0.5") for rate in rates):
        raise ValueError("a fee is a fraction from 0 to 0.5")
    return rates


def _amount(text: str) -> tuple[Decimal, str]:
    number, _, currency = text.partition(" ")
    if not currency.strip().isalnum():
        raise ValueError("write it like `250 USDT`")
    return _decimal(number), currency.strip().upper()


def _order(text: str) -> Order:
    words = text.replace(" at ", " ").split()
    if len(words) not in {3, 4} or words[0] not in {"buy", "sell"}:
        raise ValueError("write it like `buy 100 ROGER-BTC at 0.00005`, without a price for a market order")
    volume, price = _decimal(words[1]), _decimal(words[3]) if len(words) == 4 else None
    if volume <= 0 or (price is not None and price <= 0):
        raise ValueError("volume and price are above zero")
    return Order(Side(words[0]), volume, words[2], price)


def _rate(text: str) -> tuple[int, int]:
    requests, slash, per = text.partition("/")
    if not slash:
        raise ValueError("write it like `30/12s`")
    return _count(requests), _duration(per)


def _name(text: str) -> str:
    return text


# The catalogue --------------------------------------------------------------------------------------------

_ANSWERS = ("cut", "hang", "500", "502", "503", "504", "422", "429", "html", "garbage")
_REFUSALS = ("403", "429", "471", "500", "502", "503", "504")
_HANDSHAKES = (*_REFUSALS, "hang", "garbage", "cut")


def _about(name: str, on: str, values: str, default: str, read: Callable[[str], Any], says: str) -> Fault:
    return Fault(name, says, values, default, read, on)


def _lasting(name: str, values: str, default: str, read: Callable[[str], Any], says: str) -> Fault:
    return Fault(name, says, values, default, read)


def _moment(name: str, values: str, default: str, read: Callable[[str], Any], says: str) -> Fault:
    return Fault(name, says, values, default, read, moment=True)


_CATALOGUE = (
    # Requests
    _about("refuse", "any", "|".join(_REFUSALS), "503", _one_of(*_REFUSALS),
           "The gateway answers with this status and the request goes no further: 403 empty, 429 with Retry-After."),
    _about("lost", "create", "cut|hang", "cut", _one_of("cut", "hang"),
           "The request never arrives: the connection is cut, or nothing is ever answered."),
    _about("answer", "create", "|".join(_ANSWERS), "cut", _one_of(*_ANSWERS),
           "The request is carried out, but the answer is withheld (cut, hang), or is this instead."),
    _about("twice", "create", "first|second", "second", _one_of("first", "second"),
           "A proxy sends the request twice; the client gets the answer of the first or the second copy."),
    _about("auth_delay", "signed", "duration", "6s", _duration,
           "The request waits this long before its signature is checked: above 5 s its nonce has expired."),
    _about("act_delay", "create", "duration", "8s", _duration,
           "The request is authorised at once and carried out this much later; after 15 s the gateway answers 504."),
    _about("answer_delay", "create", "duration", "500ms", _duration,
           "The request is carried out at once and answered this much later, after the stream told of it."),
    _about("rate_limit", "any", "requests/duration", "30/12s", _rate,
           "More requests of a key in any such stretch of time get 429, Retry-After and `Retry later`."),
    # Lists
    _lasting("lists_lag", "duration, at most 60s", "3s", _duration,
             "Lists of orders and trades show the account as it was this long ago."),
    _lasting("lists_shift", "", "", _nothing, "Rows move while one pages: each page after the first misses a row."),
    _lasting("lists_unfiltered", "", "", _nothing, "Lists of orders and trades ignore every filter but the page."),
    _lasting("client_id", "null|cut|upper|lower", "null", _one_of("null", "cut", "upper", "lower"),
             "Orders are shown without their client id, without its last character, or with it in another case."),
    _lasting("numbers", "", "", _nothing, "Decimals are JSON numbers instead of texts, everywhere."),
    _lasting("extra_fields", "", "", _nothing, "Every object carries fields that nobody ever wrote down."),
    # The life of an order; of orders that came in by the API
    _lasting("reject", "", "", _nothing, "Orders that were answered with 201 pending end as `reject`."),
    _lasting("pending_stuck", "duration", "60s", _duration,
             "New orders stay `pending` for this long, and then go live all the same."),
    _lasting("pending_cancels_lost", "", "", _nothing, "A cancel of a `pending` order is forgotten."),
    _lasting("cancels_lost", "", "", _nothing, "Cancels are answered with 201 and forgotten."),
    _lasting("cancel_delay", "duration", "2s", _duration, "The engine looks at a cancel this much later."),
    _lasting("engine_misses", "", "", _nothing,
             "Orders become `wait` in the database, but the engine never hears of them until it restarts."),
    _lasting("human_twin", "", "", _nothing,
             "After each order a human places the same on the same account, without a client id."),
    # Streams
    _lasting("lose_private", "any|order|trade|balance", "any", _one_of("any", "order", "trade", "balance"),
             "Private messages of this stream are lost, with the socket up."),
    _lasting("duplicate_private", "any|order|trade|balance", "any", _one_of("any", "order", "trade", "balance"),
             "Private messages of this stream come twice."),
    _lasting("reorder_private", "duration", "300ms", _duration,
             "Each private message is held back for a random part of this, so they overtake each other."),
    _lasting("nested_increments", "", "", _nothing, "Changes of a book come as a list of levels, not as one level."),
    _lasting("json_ping", "duration", "20s", _duration, 'Every socket is sent {"ping": …} this often.'),
    _lasting("handshake", "|".join(_HANDSHAKES), "503", _one_of(*_HANDSHAKES),
             "A new socket is refused with this status, or its handshake is never answered (hang) or answered with "
             "what is no HTTP (garbage), or it is cut behind the 101."),
    _moment("sequence_gap", "market id, or all", "all", _name,
            "The next change of the book is not sent to those who are subscribed."),
    _moment("drop_private", "", "", _nothing, "Private sockets are cut without a close frame."),
    _moment("drop_public", "", "", _nothing, "Public sockets are cut without a close frame."),
    _moment("half_open", "private|public|all", "all", _one_of("private", "public", "all"),
            "Open sockets stay open, but nothing comes any more, not even a ping."),
    _moment("stream_restart", "", "", _nothing,
            "The stream server restarts: all sockets are cut, and there is no snapshot until the engine sends one."),
    # The exchange
    _moment("engine_restart", "market id, or all", "all", _name,
            "Matching restarts: sequences begin at 1, waiting cancels are lost, open orders come back by id."),
    _moment("clock_jump", "±duration", "+30s", _shift, "The venue's clock jumps by this, for good."),
    _moment("deposit", "amount currency", "100 USDT", _amount, "Somebody deposits; a negative amount is a withdrawal."),
    _moment("fees", "maker/taker", "0.001/0.002", _fees, "Orders from now on pay these fees, in every market."),
    _moment("disable_market", "market id", "rogerbtc", _name, "A market is disabled; its orders stay live."),
    _moment("hide_market", "market id", "rogerbtc", _name,
            "A market is hidden: to a client of 2.5 it is open as ever, to one of an older kind as if disabled."),
    _moment("more_markets", "how many", "150", _count,
            "That many markets are listed, each with a currency of its own, of which every account gets one."),
    _moment("human_order", "order", "buy 100 ROGER-BTC", _order, "A human places an order on the account."),
    _moment("human_cancel", "", "", _nothing, "A human cancels every open order of the account."),
    _moment("self_trade", "market id", "rogerbtc", _name, "A human makes the account trade with itself."),
    _moment("two_trades", "", "", _nothing,
            "Somebody trades twice, in the same second, with the newest open order of the account."),
)  # fmt: skip

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _CATALOGUE}

_FIELDS = ("name", "value", "for", "times", "chance", "on", "account")


def switch(facts: Mapping[str, object]) -> Switch:
    """A switch from what somebody wrote: texts or numbers under the names of `_FIELDS`. Raises FaultProblem."""
    for field in facts:
        if field not in _FIELDS:
            raise FaultProblem(field, f"unknown key {field!r}: there are {', '.join(_FIELDS)}")
    texts = {field: str(value) for field, value in facts.items() if value is not None}
    name = texts.get("name", "")
    fault = FAULTS.get(name)
    if fault is None:
        raise FaultProblem("name", f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
    text = texts.get("value", fault.default)
    on = texts.get("on", fault.on)
    if on != fault.on and (not fault.on or on not in REQUESTS):
        raise FaultProblem("on", f"{name} is about {' or '.join(REQUESTS) if fault.on else 'no requests'}, not {on!r}")
    return Switch(
        name=name,
        value=_field("value", f"{name}={text}", fault.read, text),
        text=text,
        on=on,
        duration=_field("for", "for", _duration, texts["for"]) if "for" in texts else None,
        times=_field("times", "times", _count, texts["times"]) if "times" in texts else None,
        chance=_field("chance", "chance", _chance, texts["chance"]) if "chance" in texts else 1.0,
        account=texts.get("account", "trader"),
    )


def switch_text(text: str) -> Switch:
    """`NAME[=VALUE][,for=10s][,times=3][,chance=0.2][,on=create][,account=NAME]`. Raises FaultProblem."""
    first, *rest = text.split(",")
    name, equals, value = first.partition("=")
    facts: dict[str, object] = {"name": name.strip()}
    if equals:
        facts["value"] = value.strip()
    for part in rest:
        key, _, value = part.partition("=")
        facts[key.strip()] = value.strip()
    return switch(facts)


def _field(field: str, what: str, read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except BadQuantity as error:
        raise FaultProblem(field, f"{what}: {error.what}; {error.fix}") from None
    except ValueError as error:
        raise FaultProblem(field, f"{what}: {error}") from None


def _chance(text: str) -> float:
    chance = float(_decimal(text))
    if not 0 < chance <= 1:
        raise ValueError("it is above 0 and at most 1")
    return chance
