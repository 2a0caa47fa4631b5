"""What a key is refused for, in the exact words, on both backends: the exchange is the sandbox's own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from runner.altmarkets.server import Server
from runner.edge.clock import Clock
from runner.edge.sandbox import Venue, sandbox
from runner.model.credentials import Credentials
from runner.model.settings import SECOND
from runner.run.connect import connect, verify
from runner.run.ends import CannotRun
from runner.simulation.crowd import Temper
from runner.simulation.sandbox import Sandbox
from runner.simulation.sandbox import sandbox as grow


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    folders = {name: str(tmp_path) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    return {**folders, "RUNNER_CREDENTIAL_STORE": "file", "RUNNER_PASSPHRASE": "x"}


def untouched(grown: Sandbox) -> None:
    pass


@asynccontextmanager
async def exchange(
    change: Callable[[Sandbox], None] = untouched, *, ahead_s: int = 0
) -> AsyncIterator[tuple[Venue, Credentials]]:
    clock = Clock(Clock().now() + ahead_s * SECOND)
    grown = grow("connect", clock.now(), temper=Temper(rate=0))
    change(grown)
    async with sandbox(Server(grown.exchange), clock=clock) as venue:
        yield venue, Credentials(grown.key.access, grown.key.secret)


def looks_only(grown: Sandbox) -> None:
    member = grown.trader
    grown.exchange.members[member.id] = msgspec.structs.replace(member, verbs=("GET",))


def level_too_low(grown: Sandbox) -> None:
    member = grown.trader
    grown.exchange.members[member.id] = msgspec.structs.replace(member, level=1)


def without_two_factor(grown: Sandbox) -> None:
    member = grown.trader
    grown.exchange.members[member.id] = msgspec.structs.replace(member, two_factor=False)


def disabled(grown: Sandbox) -> None:
    grown.exchange.keys[grown.key.access] = msgspec.structs.replace(grown.key, active=False)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (looks_only, 4, "no permission for this: give it the permission to trade"),
        (level_too_low, 4, "level is too low to trade"),
        (without_two_factor, 4, "two-factor login is off"),
        (disabled, 4, "the API key is disabled"),
    ],
)
async def test_a_key_that_may_not_trade_is_told_why(
    environment: dict[str, str], change: Callable[[Sandbox], None], code: int, said: str
) -> None:
    async with exchange(change) as (venue, key):
        with pytest.raises(CannotRun, match=said) as caught:
            await verify(venue.rest_url, key, environment)
        assert caught.value.exit_code == code
        assert key.secret_key not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("ahead_s", [-60, 60])
async def test_clocks_too_far_apart_are_measured(environment: dict[str, str], ahead_s: int) -> None:
    async with exchange(ahead_s=ahead_s) as (venue, key):
        with pytest.raises(CannotRun, match=r"differs from the venue's by [+-](59|60|61)\.\d s") as caught:
            await verify(venue.rest_url, key, environment)
        assert caught.value.exit_code == 5


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_key_of_the_same_name_keeps_the_account(environment: dict[str, str]) -> None:
    def second_key(grown: Sandbox) -> None:
        grown.exchange.give_key(msgspec.structs.replace(grown.key, access="feedfacefeedface"))

    async with exchange(second_key) as (venue, key):
        first = await connect("altmarkets", "main", venue.rest_url, key, environment, None)
        newer = Credentials("feedfacefeedface", key.secret_key)
        second = await connect("altmarkets", "main", venue.rest_url, newer, environment, None)
        other = await connect("altmarkets", "other", venue.rest_url, newer, environment, None)
    assert (first.rotated, second.rotated, other.rotated) == (False, True, False)
    assert first.entry.account == second.entry.account != other.entry.account
    assert second.entry.key_hint == "face"
