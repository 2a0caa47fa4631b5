"""What goes wrong when: one schedule from a seed, of the exchange's faults and the machine's.

A seed has a climate: a few kinds of trouble that come again and again, so that each meets the others in some seed.
Times are ns from the beginning.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import asdict

from runner.model.money import plain
from runner.model.order import Side
from runner.model.settings import SECOND
from runner.simulation.dice import Dice, seed_state
from runner.simulation.markets import Listing

MINUTE = 60 * SECOND

KINDS_MIN, KINDS_MAX = 3, 8
CALM = 20 * SECOND
"""Nothing happens before: a run that never began meets nothing."""


class Happening(Struct, frozen=True):
    """`switch` with the text of a sandbox's switch, or something that befalls the runner:

    `crash` (seconds away), `doom` (the point at which to die next), `copy` and `rollback` of the journal, `gone`,
    `disk_full` (seconds), `second_host` (with the `past` of our journal, or a `fresh` one), `skew` (own clock after
    the next start, seconds), `restart` (a clean stop, and on again), `reload` (its file is written anew, and a
    SIGHUP says so; the value is the seed of what is different).
    """

    at: int
    act: str
    value: str = ""

    def __str__(self) -> str:
        return self.value if self.act == "switch" else f"{self.act} {self.value}".rstrip()


class Line(Struct, frozen=True):
    """Chances for each request, and for each second of a socket."""

    answer_lost: float = 0.0
    request_lost: float = 0.0
    late: float = 0.0
    private_drop: float = 0.0
    public_drop: float = 0.0


class Weather(Struct, frozen=True):
    line: Line
    happenings: tuple[Happening, ...]


_LASTING = (
    *(f"refuse={status},chance=0.3" for status in (403, 429, 471, 500, 502, 503, 504)),
    *(f"lost={how},chance=0.3" for how in ("cut", "hang")),
    "lost=hang,chance=0.3,on=signed",
    *(
        f"answer={what},chance=0.3"
        for what in ("cut", "hang", "500", "502", "503", "504", "422", "429", "html", "garbage")
    ),
    "answer=garbage,chance=0.3,on=signed",
    "answer=cut,chance=0.4,on=cancel",
    "twice=first,chance=0.3",
    "twice=second,chance=0.3",
    *(f"auth_delay={delay},chance=0.3" for delay in ("3s", "4900ms", "6s")),
    *(f"act_delay={delay},chance=0.3" for delay in ("2s", "8s", "14s", "20s", "29s")),
    "act_delay=45s,chance=0.15",
    "act_delay=300s,chance=0.1",
    "answer_delay=700ms",
    "answer_delay=6s,on=signed,chance=0.3",
    "rate_limit=20/12s",
    "lists_lag=4s",
    "lists_lag=20s",
    "lists_shift",
    "lists_unfiltered",
    *(f"client_id={how}" for how in ("null", "cut", "upper", "lower")),
    "numbers",
    "extra_fields",
    "reject,chance=0.5",
    "pending_stuck=20s,chance=0.3",
    "pending_stuck=3h,times=1",
    "pending_cancels_lost",
    "cancels_lost,chance=0.5",
    "cancel_delay=4s",
    "engine_misses,chance=0.2",
    "human_twin,chance=0.3",
    *(f"lose_private={which},chance=0.5" for which in ("any", "order", "trade", "balance")),
    "duplicate_private",
    "reorder_private=900ms",
    "nested_increments",
    "json_ping=3s",
)

_MOMENTS = (
    "sequence_gap",
    "drop_private",
    "drop_public",
    "half_open=private",
    "half_open=public",
    "stream_restart",
    "engine_restart",
    "clock_jump=+3s",
    "clock_jump=-3s",
    "fees=0.001/0.003",
    "fees=0.002/0.002",
    "human_cancel",
    "self_trade",
    "two_trades",
    "more_markets=3",
)

_BEFALLS = (
    "crash",
    "crash",
    "crash",
    "doom",
    "doom",
    "doom",
    "rollback",
    "gone",
    "disk_full",
    "second_host=past",
    "second_host=fresh",
    "skew",
    "restart",
    "clock",
    "human",
    "transfer",
)
"""Some by name twice: what every machine has to live through comes in most climates."""

_DOOMS = ("before_commit", "after_commit", "between_commands", "signed", "answer")


def forecast(seed: str, length: int, listing: Listing, without: Collection[str] = ()) -> Weather:
    """The weather of `length` ns on a market; none of the kinds that begin with one of `without`, "" all of them."""
    dice = Dice(seed_state(seed, "weather"))
    kinds = [kind for kind in (*_LASTING, *_MOMENTS, *_BEFALLS) if not kind.startswith(tuple(without))]
    deaths = [kind for kind in ("crash", "doom") if kind in kinds]
    count = KINDS_MIN + dice.below(KINDS_MAX - KINDS_MIN + 1)
    chosen = [dice.choice(kinds) for _ in range(count)] if kinds else []
    if deaths and dice.below(3):
        chosen.append(dice.choice(deaths))
    happenings: list[Happening] = []
    for kind in dict.fromkeys(chosen):
        at, gap = CALM, dice.between(1.0, 6.0) * MINUTE
        while (at := at + int(gap * dice.exponential())) < length:
            happenings += _happen(kind, at, dice, listing)
    if not "reload".startswith(tuple(without)):
        happenings += _reloads(seed, length)
    if not "blackout".startswith(tuple(without)):
        happenings += (each for each in _blackouts(seed, length) if not each.value.startswith(tuple(without)))
    line = {name: chance for name, chance in asdict(_line(dice)).items() if not name.startswith(tuple(without))}
    return Weather(Line(**line), tuple(sorted(happenings, key=lambda each: each.at)))


def _reloads(seed: str, length: int) -> list[Happening]:
    """In every third seed somebody tunes. From dice of its own: the rest of a seed's weather is the same without."""
    dice = Dice(seed_state(seed, "reloads"))
    happenings: list[Happening] = []
    if dice.below(3) == 0:
        at, gap = CALM, dice.between(0.2, 3.0) * MINUTE
        while (at := at + int(gap * dice.exponential())) < length:
            happenings.append(Happening(at, "reload", str(dice.below(1_000_000))))
    return happenings


def _blackouts(seed: str, length: int) -> list[Happening]:
    """In every third seed orders come and go unseen: creates without an answer, or long after it, while the private
    stream is mute; and they are over before anybody lists what is at work. Only a look-up can tell of them.
    From dice of their own, as reloads.
    """
    dice = Dice(seed_state(seed, "blackouts"))
    happenings: list[Happening] = []
    if dice.below(3) == 0:
        at, gap = CALM, dice.between(1.0, 4.0) * MINUTE
        while (at := at + int(gap * dice.exponential())) < length:
            create, ended_after = dice.choice((("answer=cut", 8), ("act_delay=20s", 27), ("act_delay=28s", 35)))
            happenings += (
                Happening(at, "switch", "lose_private=any,for=60s"),
                Happening(at, "switch", f"{create},for=6s"),
                Happening(at + ended_after * SECOND, "switch", "human_cancel"),
            )
    return happenings


def _line(dice: Dice) -> Line:
    """A third of the seeds have a good line: there, only what is scheduled goes wrong."""
    if dice.below(3) == 0:
        return Line()
    return Line(
        answer_lost=dice.choice((0.0, 0.02, 0.1)),
        request_lost=dice.choice((0.0, 0.02, 0.1)),
        late=dice.choice((0.0, 0.05, 0.2)),
        private_drop=dice.choice((0.0, 1 / 300, 1 / 60)),
        public_drop=dice.choice((0.0, 1 / 300, 1 / 60)),
    )


def _happen(kind: str, at: int, dice: Dice, listing: Listing) -> Sequence[Happening]:
    if kind in _LASTING:
        return [Happening(at, "switch", f"{kind},for={dice.choice((10, 30, 60, 90, 400))}s")]
    if kind in _MOMENTS:
        return [Happening(at, "switch", kind)]
    match kind:
        case "crash":
            away = dice.choice((1, 3, 20, 45, 200, 1000))
            return [Happening(at, "crash", str(away))]
        case "doom":
            return [Happening(at, "doom", dice.choice(_DOOMS))]
        case "rollback":
            return [Happening(at, "copy"), Happening(at + dice.below(4 * MINUTE) + MINUTE, "rollback")]
        case "disk_full":
            return [Happening(at, "disk_full", str(dice.choice((1, 5, 30))))]
        case "skew":
            return [Happening(at, "skew", f"{dice.between(-3.5, 3.5):.3f}")]
        case "clock":
            sign = dice.choice(("+", "-"))
            back = "-" if sign == "+" else "+"
            return [
                Happening(at, "switch", f"clock_jump={sign}30s"),
                Happening(at + dice.below(2 * MINUTE) + MINUTE, "switch", f"clock_jump={back}30s"),
            ]
        case "human":
            return [Happening(at, "switch", f"human_order={_human_order(dice, listing)}")]
        case "transfer":
            amount = listing.quantity * dice.choice((3, 1, -1))
            return [Happening(at, "switch", f"deposit={plain(amount)} {listing.market.base}")]
    act, _, value = kind.partition("=")
    return [Happening(at, act, value)]


def _human_order(dice: Dice, listing: Listing) -> str:
    side, market = dice.choice(("buy", "sell")), listing.market
    if dice.below(2):
        return f"{side} {plain(listing.quantity)} {market.symbol}"
    away = Decimal(dice.choice((95, 99, 101, 105))).scaleb(-2)
    price = market.price(market.ticks_for(Side(side), float(listing.price * away)))
    return f"{side} {plain(listing.quantity)} {market.symbol} at {plain(price)}"
