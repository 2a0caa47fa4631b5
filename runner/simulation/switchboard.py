"""Which faults are on, for how long and how often, and whether one strikes this time.

Chance comes from seeded dice: the same switches and questions at the same times have the same answers. Times: UTC ns.
"""

import heapq

from msgspec import Struct

from runner.simulation.dice import Dice, seed_state
from runner.simulation.faults import Switch


class Active(Struct):
    """A switch that is on. `until` is UTC ns; `left` is how often it may still strike."""

    switch: Switch
    until: int | None
    left: int | None


class Switchboard:
    """Which faults are on. Whoever acts asks whether one strikes; nobody else knows chance or time."""

    def __init__(self, seed: str) -> None:
        self.dice = Dice(seed_state(seed, "faults"))
        self._active: dict[str, list[Active]] = {}
        self._planned: list[tuple[int, int, Switch]] = []
        self._count = 0

    @property
    def quiet(self) -> bool:
        """Nothing is on: the way of every exchange but a sandbox that is being mistreated."""
        return not self._active

    def switch_on(self, chosen: Switch, now: int) -> None:
        """Begin a lasting fault; one that is on for the same requests is replaced."""
        until = None if chosen.duration is None else now + chosen.duration
        others = [active for active in self._active.get(chosen.name, ()) if active.switch.on != chosen.on]
        self._active[chosen.name] = [*others, Active(chosen, until, chosen.times)]

    def switch_off(self, name: str | None = None) -> None:
        """End one lasting fault, or all."""
        if name is None:
            self._active.clear()
        else:
            self._active.pop(name, None)

    def plan(self, at: int, chosen: Switch) -> None:
        """Something to be done at a time; whoever keeps the time takes it with `due`."""
        self._count += 1
        heapq.heappush(self._planned, (at, self._count, chosen))

    def next_due(self) -> int | None:
        return self._planned[0][0] if self._planned else None

    def due(self, now: int) -> list[Switch]:
        """What was planned for now or earlier; each is handed out once."""
        ready: list[Switch] = []
        while self._planned and self._planned[0][0] <= now:
            ready.append(heapq.heappop(self._planned)[2])
        return ready

    def standing(self, now: int) -> list[Active]:
        """All that is on."""
        for name in list(self._active):
            self._expire(name, now)
        return [active for actives in self._active.values() for active in actives]

    def holds(self, name: str, now: int) -> Switch | None:
        """The switch of a state that simply is, such as a way of writing. This counts as no strike."""
        return next((active.switch for active in self._current(name, now)), None)

    def strikes(self, name: str, now: int, request: str = "") -> Switch | None:
        """Whether it happens this time; then it is counted. `request` is the kind of the request, if it is one."""
        for active in self._current(name, now):
            if request and not concerns(active.switch.on, request):
                continue
            if active.switch.chance < 1 and self.dice.uniform() >= active.switch.chance:
                continue
            if active.left is not None:
                active.left -= 1
                self._expire(name, now)
            return active.switch
        return None

    def _current(self, name: str, now: int) -> list[Active]:
        if name not in self._active:
            return []
        self._expire(name, now)
        return self._active.get(name, [])

    def _expire(self, name: str, now: int) -> None:
        kept = [
            active for active in self._active[name] if (active.until is None or now < active.until) and active.left != 0
        ]
        if kept:
            self._active[name] = kept
        else:
            del self._active[name]


def concerns(on: str, request: str) -> bool:
    """Whether a fault that is limited to some requests is about this kind of them."""
    return on in {"any", request} or (on == "signed" and request != "public")
