import json
from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec
import pytest
import trio
from anyio.abc import ByteStream
from edge_peers import pipe_server, read_request
from trio.testing import MockClock

from runner.altmarkets import account
from runner.altmarkets.errors import FixRequest, RetryLater
from runner.altmarkets.lookup import Question
from runner.altmarkets.numbers import Unreadable
from runner.altmarkets.rest import Request
from runner.edge.asking import Asking
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.rest import Rest
from runner.model.credentials import Credentials
from runner.model.settings import SECOND

KEY = Credentials("a1b2c3d4e5f60718", "00112233445566778899aabbccddeeff")
BTC = account.balance("btc")
GOOD = (200, '{"currency":"btc","balance":"1.5","locked":"0.0"}')


def scripted(answers: list[tuple[int, str]], heads: list[bytes]) -> Callable[[ByteStream], Awaitable[None]]:
    """A venue that gives these answers in turn, one for each connection."""

    async def handler(stream: ByteStream) -> None:
        heads.append(await read_request(stream))
        status, body = answers[min(len(heads), len(answers)) - 1]
        after = "Retry-After: 9\r\n" if status == 429 else ""
        await stream.send(
            f"HTTP/1.1 {status} X\r\nConnection: close\r\n{after}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    return handler


def with_venue(answers: list[tuple[int, str]], work: Callable[[Asking], Awaitable[None]]) -> list[bytes]:
    """What the venue was asked, while `work` was done in virtual time."""
    heads: list[bytes] = []

    async def main() -> None:
        async with pipe_server(scripted(answers, heads)) as connect:
            clock = Clock()
            async with Rest("http://venue.test/api", KEY, clock, connect=connect) as rest:
                await work(Asking(rest, Bucket(), clock))

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return heads


@pytest.mark.parametrize("first", [(503, "no healthy upstream"), (403, ""), (502, "<html>"), (500, "{}")])
def test_what_may_help_is_tried_again_and_signed_anew(first: tuple[int, str]) -> None:
    async def work(asking: Asking) -> None:
        assert (await asking.ask(BTC)).available == Decimal("1.5")

    heads = with_venue([first, GOOD], work)
    assert len(heads) == 2
    nonces = [head.lower().partition(b"x-auth-nonce: ")[2].partition(b"\r\n")[0] for head in heads]
    assert int(nonces[1]) - int(nonces[0]) >= 500


def test_it_ends_when_nothing_helps() -> None:
    async def work(asking: Asking) -> None:
        with pytest.raises(RetryLater, match="no healthy upstream"):
            await asking.ask(BTC)

    assert len(with_venue([(503, "no healthy upstream")], work)) == 4


def test_what_cannot_help_is_not_tried_again() -> None:
    async def work(asking: Asking) -> None:
        with pytest.raises(FixRequest, match=r"account\.currency\.doesnt_exist"):
            await asking.ask(BTC)

    assert len(with_venue([(422, '{"errors":["account.currency.doesnt_exist"]}')], work)) == 1


def test_the_pause_that_was_asked_for_is_kept() -> None:
    async def work(asking: Asking) -> None:
        began = asking.clock.now()
        await asking.ask(BTC)
        assert asking.clock.now() - began >= 9 * SECOND

    assert len(with_venue([(429, "Retry later"), GOOD], work)) == 2


def test_an_answer_of_another_kind_is_unreadable_with_its_path() -> None:
    async def work(asking: Asking) -> None:
        with pytest.raises(Unreadable, match="/account/balances/btc: not JSON"):
            await asking.ask(BTC)

    with_venue([(200, "<html>")], work)


def test_a_create_never_comes_through_here() -> None:
    async def work(asking: Asking) -> None:
        with pytest.raises(ValueError, match="may not be asked twice"):
            await asking.ask(Question(Request("POST", "/market/orders"), lambda _: None))

    assert with_venue([GOOD], work) == []


def test_rows_that_shift_between_pages_are_seen_once_and_bad_ones_are_told() -> None:
    def page(*names: str) -> tuple[int, str]:
        return 200, json.dumps([{"currency": name, "balance": "1.0", "locked": "0.0"} for name in names])

    seen: list[int] = []

    async def work(asking: Asking) -> None:
        listing = msgspec.structs.replace(account.balances(), limit=2)
        page = await asking.all(listing, seen.append)
        assert [row.currency for row in page.rows] == ["A", "B", "C"]
        assert len(page.faults) == 1

    broken = (200, '[{"currency":"d"}]')
    assert len(with_venue([page("a", "b"), page("b", "c"), broken], work)) == 3
    assert seen == [2, 3, 3]
