"""What goes wrong when: one seed, one plan. The faults are the list at the end of orders.md.

A plan is made of switches of the exchange, as `runner sandbox --fault` writes them, and of what befalls the runner's
own process. Source: orders.md, "What the simulator must be able to do to us".
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from runner.simulation.dice import Dice, seed_state

Severity = Literal["calm", "lawful", "harsh"]
"""`lawful`: whatever happens, all the laws hold, and a stop in calm weather is clean. `harsh`: the venue breaks what
the rules rest on (a client id lost, a delay above D, a human's twin), so that a run may have to end with code 7."""

CALM_AT_END = 120.0  # s of good weather before the stop of a run whose stop has to be clean


class Act(Struct, frozen=True):
    """`at`: seconds from the beginning. `what`: a switch, or `crash:POINT:SECONDS`, `skew:SECONDS`, `disk:SECONDS`."""

    at: float
    what: str


# Each: how often, relative to the others; the switch; whether it lasts.
_LAWFUL: Sequence[tuple[int, str, bool]] = (
    *((1, f"refuse={status},chance=0.4", True) for status in ("403", "429", "471", "500", "502", "503", "504")),
    (4, "lost=cut,chance=0.4", True),
    (4, "lost=hang,chance=0.3,on=signed", True),
    *(
        (2, f"answer={how},chance=0.5", True)
        for how in ("cut", "hang", "500", "502", "503", "504", "422", "429", "html")
    ),
    (2, "answer=garbage,chance=0.3,on=signed", True),
    (2, "answer=cut,chance=0.5,on=cancel", True),
    (2, "auth_delay=3s,chance=0.4", True),
    (2, "auth_delay=6s,chance=0.4", True),
    (2, "act_delay=8s,chance=0.4", True),
    (3, "act_delay=20s,chance=0.4", True),
    (1, "act_delay=29s,chance=0.3", True),
    (2, "answer_delay=700ms", True),
    (2, "answer_delay=6s,on=signed,chance=0.4", True),
    (3, "twice=first,chance=0.4", True),
    (3, "twice=second,chance=0.4", True),
    (1, "rate_limit=20/12s", True),
    (3, "lists_lag=4s", True),
    (2, "lists_shift", True),
    (2, "lists_unfiltered", True),
    (2, "reject,chance=0.5", True),
    (2, "pending_stuck=20s,chance=0.4", True),
    (1, "pending_cancels_lost", True),
    (3, "cancels_lost,chance=0.6", True),
    (2, "cancel_delay=4s", True),
    (1, "numbers", True),
    (1, "extra_fields", True),
    *((2, f"lose_private={which},chance=0.6", True) for which in ("any", "order", "trade", "balance")),
    (2, "duplicate_private", True),
    (2, "reorder_private=900ms", True),
    (1, "nested_increments", True),
    (1, "json_ping=3s", True),
    (1, "sequence_gap", False),
    (3, "drop_private", False),
    (1, "drop_public", False),
    (1, "half_open=private", False),
    (1, "half_open=public", False),
    (1, "stream_restart", False),
    (3, "engine_restart", False),
    (1, "clock_jump=+2s", False),
    (1, "clock_jump=-2s", False),
    (1, "deposit=0.25 BTC", False),
    (1, "deposit=-1000 ROGER", False),
    (1, "fees=0.001/0.003", False),
    (1, "human_order=buy 700 ROGER-BTC", False),
    (1, "human_order=sell 700 ROGER-BTC at 0.00006", False),
    (1, "human_cancel", False),
    (1, "self_trade", False),
    (1, "two_trades", False),
)
_HARSH: Sequence[tuple[int, str, bool]] = (
    (3, "client_id=null", True),
    (2, "client_id=cut", True),
    (2, "client_id=upper", True),
    (2, "client_id=lower", True),
    (3, "human_twin,chance=0.3", True),
    (2, "engine_misses,chance=0.3", True),
    (3, "act_delay=45s,chance=0.3", True),
    (1, "pending_stuck=2h,chance=0.1", True),
    (1, "disable_market=rogerbtc", False),
)
_CRASHES = ("handled", "written", "sent", "now")


def plan(seed: str, seconds: float, severity: Severity) -> tuple[Act, ...]:
    """Every fault of a run of so many seconds, by time. Lawful weather ends in calm; harsh weather need not."""
    dice = Dice(seed_state(seed, "weather"))
    acts: list[Act] = []
    end = max(0.0, seconds - CALM_AT_END)
    if severity != "calm":
        table = _weighted(_LAWFUL if severity == "lawful" else (*_LAWFUL, *_HARSH, *_HARSH))
        at = dice.between(5, 15)
        while at < end:
            text, lasts = dice.choice(table)
            if lasts:
                text += f",for={round(min(dice.between(3, 45), end - at), 3)}s"
            acts.append(Act(at, text))
            at += 25 * dice.exponential() + 0.5
        acts += _of_the_process(dice, end)
    return tuple(sorted(acts, key=lambda act: act.at))


def _of_the_process(dice: Dice, end: float) -> list[Act]:
    acts: list[Act] = []
    at = 60 * dice.exponential()
    while at < end:
        if dice.below(4) == 0:
            acts.append(Act(at, "stop"))
        elif dice.below(12) == 0:
            acts.append(Act(at, f"disk:{round(dice.between(5, 20), 3)}"))
        else:
            acts.append(Act(at, f"skew:{round(dice.between(-3, 3), 3)}"))
            acts.append(Act(at, f"crash:{dice.choice(_CRASHES)}:{round(dice.between(0.5, 40), 3)}"))
        at += 150 * dice.exponential() + 5
    return acts


def _weighted(table: Sequence[tuple[int, str, bool]]) -> list[tuple[str, bool]]:
    return [(text, lasts) for often, text, lasts in table for _ in range(often)]
