"""Our client against every fault that the sandbox has, one after the other, in virtual time.

Whatever happens the run goes on, ends when it is told to, and its journal says what the exchange says.
"""

import msgspec
import pytest

from runner.model.event import StreamDown
from runner.model.ids import parse_client_id
from runner.model.order import OrderState
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.world import Faults, World
from runner.simulation.faults import FAULTS, switch_text
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.moments import CannotHappen
from strategies.pure_market_making import PureMarketMaking

SETTINGS = Settings(
    name="faults",
    tag="FAULTS",
    markets=("ROGER-BTC",),
    strategy="pure_market_making",
    params={
        "bid_spread": "8bps",
        "ask_spread": "8bps",
        "order_amount": "500 ROGER",
        "order_levels": 2,
        "order_level_spread": "10bps",
        "order_refresh_time": "5s",
        "order_refresh_tolerance_pct": "2bps",
    },
    tick=TickPolicy(every=SECOND, when=("book", "fill"), at_most_every=SECOND // 4),
    limits=Limits(max_open_orders=8),
)

SWITCHES = (
    "refuse=403,chance=0.3",
    "refuse=429,chance=0.3",
    "refuse=471,for=20s",
    "lost=cut,chance=0.3",
    "lost=hang,chance=0.3,on=signed",
    *(f"answer={what},chance=0.3" for what in ("cut", "hang", "502", "422", "html")),
    "answer=garbage,chance=0.3,on=signed",
    "answer=cut,chance=0.3,on=cancel",
    "auth_delay=6s,chance=0.3",
    "act_delay=8s,chance=0.3",
    "act_delay=20s,chance=0.2",
    "answer_delay=700ms",
    "answer_delay=6s,on=signed,chance=0.3",
    "rate_limit=20/12s",
    "lists_lag=4s",
    "lists_shift",
    "lists_unfiltered",
    "reject,chance=0.5",
    "pending_stuck=20s,chance=0.3",
    "pending_cancels_lost",
    "cancels_lost,chance=0.5",
    "cancel_delay=4s",
    "numbers",
    "extra_fields",
    "lose_private=any,chance=0.5",
    "duplicate_private",
    "reorder_private=900ms",
    "nested_increments",
    "json_ping=3s",
    "sequence_gap",
    "drop_private",
    "drop_public",
    "half_open=private",
    "half_open=public",
    "stream_restart",
    "engine_restart",
    "clock_jump=+3s",
    "clock_jump=-3s",
    "deposit=0.25 BTC",
    "deposit=-1000 ROGER",
    "fees=0.001/0.003",
    "more_markets=130",
    "human_order=buy 700 ROGER-BTC",
    "human_order=sell 700 ROGER-BTC at 0.00006",
    "human_cancel",
    "self_trade",
    "two_trades",
)
"""Those under which the whole of the law holds: exit 0, and everything agrees."""

VARIANTS = (
    *(f"refuse={status},chance=0.3" for status in (500, 502, 503, 504)),
    *(f"answer={what},chance=0.3" for what in ("500", "503", "504", "429")),
    *(f"lose_private={which},chance=0.5" for which in ("order", "trade", "balance")),
    "auth_delay=3s,chance=0.3",
)
"""The same faults with other values: the same law."""

HANDSHAKES = tuple(f"handshake={how},for=15s" for how in ("403", "502", "hang", "garbage", "cut"))
"""Nobody notices these before a socket is gone."""

HARDER = (
    "twice=first,chance=0.3",
    "twice=second,chance=0.3",
    "client_id=null",
    "client_id=cut",
    "client_id=upper",
    "client_id=lower",
    "human_twin,chance=0.3",
    "engine_misses,chance=0.2",
    "act_delay=45s,chance=0.1",
    "disable_market=rogerbtc",
    "hide_market=rogerbtc",
)
"""Those after which a run may have to say that it needs a human (exit 7)."""


def run_through(text: str, seed: str, *others: str) -> World:
    """Good weather, the fault for a while, good weather again, and the end."""
    each = World(seed, SETTINGS, PureMarketMaking, Faults(), listings=SANDBOX_LISTINGS[:1])
    each.run_for(12)
    assert len(each.journal.orders) >= 4
    for _ in range(20):  # some things can only happen while an order is open
        try:
            each.switch(text)
            break
        except CannotHappen:
            each.run_for(0.7)
    else:
        raise AssertionError(f"{text} could not happen for a quarter of a minute")
    for other in others:
        each.switch(other)
    each.run_for(40)
    each.server.exchange.faults.switch_off()
    each.run_for(25)
    each.stop()
    each.run_for(200)
    assert each.finish is not None, "the stop has no end"
    return each


def ours_agree(each: World) -> None:
    """Every order with our name at the venue is in the journal, its fills are counted once, no name was sent twice."""
    rows = each.venue_orders()
    ours = {id_: row for id_, row in rows.items() if row["client_id"] and parse_client_id(row["client_id"])}
    known = {id_ for order in each.journal.orders.values() for id_ in order.venue_ids}
    assert set(ours) <= known
    fills = {key for key in each.venue_fills() if key[1] in ours}
    assert {key for key in each.journal.fills if key[1] in ours} == fills
    nobody_elses = [key for key in each.journal.fills if key[1] not in ours]
    assert nobody_elses == []
    sent = [command.client_id for output in each.outputs for command in output.commands if hasattr(command, "lots")]
    assert len(sent) == len(set(sent))


def nothing_left(each: World) -> None:
    """Exit 0: nothing of ours is ever live again."""
    each.let_pass(90)
    open_rows = [row for row in each.venue_orders().values() if row["state"] in {"pending", "wait"}]
    assert [row for row in open_rows if row["client_id"]] == []


@pytest.mark.slow
@pytest.mark.parametrize("text", [*SWITCHES, *VARIANTS])
def test_the_run_gets_over_it_and_the_books_agree(text: str) -> None:
    each = run_through(text, "in turn")
    assert each.finish is not None
    assert each.finish.exit_code == 0, each.finish
    ours_agree(each)
    nothing_left(each)
    assert all(order.state.terminal for order in each.journal.orders.values())
    assert OrderState.UNKNOWN not in {order.state for order in each.journal.orders.values()}


@pytest.mark.parametrize("text", HANDSHAKES)
@pytest.mark.parametrize("socket", ["drop_private", "drop_public", "stream_restart"])
def test_a_socket_that_is_gone_comes_back_once_it_may(text: str, socket: str) -> None:
    each = run_through(text, "in turn", socket)
    assert each.finish is not None
    assert each.finish.exit_code == 0, each.finish
    lost = [event for event in each.log if isinstance(event.what, StreamDown)]
    assert len(lost) > (2 if socket == "stream_restart" else 1), "the fault never struck"
    ours_agree(each)
    nothing_left(each)


@pytest.mark.parametrize("text", HARDER)
def test_the_run_ends_and_says_what_it_does_not_know(text: str) -> None:
    each = run_through(text, "in turn")
    assert each.finish is not None
    assert each.finish.exit_code in {0, 7}, each.finish
    ours_agree(each)
    if each.finish.exit_code == 0:
        nothing_left(each)


def test_every_fault_has_its_turn() -> None:
    harder = [one if isinstance(one, str) else str(one.values[0]) for one in HARDER]
    tried = {switch_text(text).name for text in (*SWITCHES, *HANDSHAKES, *harder)}
    assert tried == set(FAULTS)


def test_the_same_seed_and_switches_are_the_same_run() -> None:
    runs = [run_through("answer=cut,chance=0.3,on=signed", "again") for _ in range(2)]
    first, second = ([msgspec.json.encode(output) for output in each.outputs] for each in runs)
    assert first == second
