"""The sandbox's own endpoint, which no exchange has: what can go wrong, what is on, and a switch for each.

`GET /sandbox/control` lists every fault with a sentence. `POST` takes one switch or a list of them, JSON:
`{"name": "answer", "value": "502", "on": "create", "times": 1}`, also with `"at"` (a duration from now), or
`{"off": "answer"}`, `{"off": "all"}`. All of a list is read before any of it is done.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from runner.altmarkets.server.answers import Answer
from runner.model.units import BadQuantity, Duration
from runner.simulation.exchange import SECOND, Exchange
from runner.simulation.faults import FAULTS, FaultProblem, Switch, switch
from runner.simulation.moments import CannotHappen

CONTROL = "/sandbox/control"

Act = Callable[[Switch], None]
"""Do a switch now. Raises CannotHappen."""


def control(exchange: Exchange, method: str, headers: dict[str, str], body: bytes, act: Act) -> Answer:
    """Answer one request to the endpoint."""
    if "origin" in headers:  # a page in a browser has no business here
        return Answer({"errors": ["control.no_browsers"]}, 403)
    if method == "GET":
        return Answer(_catalogue(exchange))
    if method != "POST":
        return Answer({"errors": "server.method_not_allowed"}, 405, {"Allow": "GET, POST"})
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return Answer({"errors": "server.method.invalid_message_body"}, 400)
    try:
        orders = [_read(one) for one in (told if isinstance(told, list) else [told])]
        for order in orders:
            _obey(exchange, order, act)
    except FaultProblem as problem:
        return Answer({"errors": [f"control.{problem.field}"], "message": str(problem)}, 422)
    except CannotHappen as problem:
        return Answer({"errors": ["control.cannot_happen"], "message": str(problem)}, 422)
    return Answer({"on": _standing(exchange)})


def _read(told: object) -> str | tuple[int, Switch]:
    """A name to switch off (empty: all), or a switch and how long from now (ns)."""
    if not isinstance(told, dict):
        raise FaultProblem("name", "a switch is an object with a name")
    if "off" in told:
        name = told["off"]
        if name != "all" and name not in FAULTS:
            raise FaultProblem("off", f"there is no fault {name!r}")
        return "" if name == "all" else str(name)
    facts = dict(told)
    try:
        delay = int(Duration(facts.pop("at", "0s")))
    except (BadQuantity, TypeError) as error:
        raise FaultProblem("at", f"at: {error}") from None
    return delay, switch(facts)


def _obey(exchange: Exchange, order: str | tuple[int, Switch], act: Act) -> None:
    if isinstance(order, str):
        exchange.faults.switch_off(order or None)
        return
    delay, chosen = order
    if delay:
        exchange.faults.plan(exchange.now + delay, chosen)
    else:
        act(chosen)


def _catalogue(exchange: Exchange) -> dict[str, Any]:
    faults = [
        {
            "name": fault.name,
            "kind": "moment" if fault.moment else "lasting",
            "value": fault.values,
            "default": fault.default,
            "on": fault.on,
            "says": fault.says,
        }
        for fault in FAULTS.values()
    ]
    return {"faults": faults, "on": _standing(exchange)}


def _standing(exchange: Exchange) -> list[dict[str, Any]]:
    now = exchange.now
    return [
        {
            "name": active.switch.name,
            "value": active.switch.text,
            "on": active.switch.on,
            "seconds_left": None if active.until is None else (active.until - now) / SECOND,
            "times_left": active.left,
        }
        for active in exchange.faults.standing(now)
    ]
