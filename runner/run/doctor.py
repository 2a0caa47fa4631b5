"""Is everything in place for a run of this file? One check after the other, nothing placed, nothing changed.

Every check that can still be made after another failed is made. What is slow or odd is a warning; what would keep a
run from starting, or make it dangerous, is a failure with the exit code that the run would have.
"""

import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import anyio
from msgspec import Struct

from runner.altmarkets import account, catalogue
from runner.altmarkets.errors import FixRequest, RetryLater, StopTrading, VenueError, problem
from runner.altmarkets.messages import error_codes, grids
from runner.altmarkets.numbers import Unreadable
from runner.altmarkets.rest import Response
from runner.altmarkets.signing import signed_headers
from runner.altmarkets.stream import PRIVATE_PATH, PUBLIC_PATH, PrivateStream, PublicStream
from runner.config.problems import nearest
from runner.config.spec import RunSpec
from runner.edge.budget import Bucket
from runner.edge.inbox import Disconnected, Frames, Item, Refused
from runner.edge.lock import holder, is_held
from runner.edge.network import connect_tcp, hang_up, secure, words
from runner.edge.places import LOCK_FILE, private_files, private_folder, state_folder, state_root
from runner.edge.shared_budget import SharedBucket
from runner.edge.stream import Outbox, run_stream
from runner.model.event import BookSnapshot, StreamUp, VenueFault
from runner.model.exits import Exit
from runner.model.ids import parse_client_id
from runner.model.market import Market
from runner.model.money import plain
from runner.model.settings import SECOND
from runner.run.connect import may_trade
from runner.run.counter import Counter, Target, opened, skewed
from runner.run.ends import CannotRun, exit_code_of
from runner.run.keys import Key
from runner.run.venue import clock_offset, nothing_real

CONNECT_WITHIN_S = 10.0
STREAM_WITHIN_S = 12.0
LATENCY_SAMPLES = 5
SLOW_MS = 500
SKEW_MAX = 4 * SECOND
SKEW_WARN = SECOND
FSYNC_SAMPLES = 8
FSYNC_WARN_MS = 20
DISK_WARN_BYTES = 200 * 2**20

Status = Literal["ok", "warn", "fail"]


class Check(Struct, frozen=True):
    """One row. `advice` says what to do about it, empty for ok; `exit_code` is 0 unless it failed."""

    name: str
    status: Status
    found: str
    advice: str = ""
    exit_code: int = 0


Note = Callable[[Check], Check]


def ok(name: str, found: str) -> Check:
    return Check(name, "ok", found)


def warn(name: str, found: str, advice: str) -> Check:
    return Check(name, "warn", found, advice)


def fail(name: str, found: str, advice: str, exit_code: int) -> Check:
    return Check(name, "fail", found, advice, exit_code)


async def examine(
    spec: RunSpec,
    target: Target,
    environment: Mapping[str, str],
    on_check: Callable[[Check], None],
    ask: Callable[[str], str] | None = None,
) -> list[Check]:
    """All checks in their order; `on_check` hears each as it is made."""
    checks: list[Check] = []

    def note(check: Check) -> Check:
        checks.append(check)
        on_check(check)
        return check

    with private_files():
        if spec.connector.paper is not None:  # it needs no key
            async with opened(target, environment, private=False) as counter:
                await _venue_checks(spec, counter, note)
            note(ok("account", str(spec.connector.paper)))
            note(_folder(state_root(environment)))
            return checks
        try:
            async with opened(target, environment, private=True, ask=ask) as counter:
                await _venue_checks(spec, counter, note)
                note(_state(counter, environment))
                note(_lock(counter, environment))
        except CannotRun as without_key:
            note(fail("key", "none that can be used", str(without_key), without_key.exit_code))
            async with opened(target, environment, private=False) as counter:
                await _venue_checks(spec, counter, note)
            note(_folder(state_root(environment)))
    return checks


def exit_code(checks: list[Check]) -> int:
    """That of the first failure; a warning is no failure."""
    return next((check.exit_code for check in checks if check.status == "fail"), 0)


async def _venue_checks(spec: RunSpec, counter: Counter, note: Note) -> None:
    if note(await _reach(counter.target.rest_url or "")).status == "fail":
        return
    note(await _guarded("REST", partial(_rest, counter)))
    note(await _guarded("clock", partial(_clock, counter)))
    note(await _guarded("venue", partial(_venue, counter)))
    markets: dict[str, Market] = {}
    note(await _guarded("markets", partial(_markets, spec, counter, markets)))
    if all(symbol in markets for symbol in spec.settings.markets):
        note(await _guarded("fees", partial(_fees, spec, markets)))
        note(await _public_stream(spec, counter, markets))
    if counter.key is not None:
        note(await _guarded("key", partial(_key, counter, counter.key)))
        note(await _private_stream(counter, counter.key, markets))
        note(await _guarded("client_id", partial(_client_id, counter, markets)))
    note(_budget(counter.bucket, spec, counter))


async def _guarded(name: str, check: Callable[[], Awaitable[Check]]) -> Check:
    """A check that the venue may refuse."""
    try:
        return await check()
    except VenueError as error:
        advice = {
            StopTrading: "look at the key and the account at the exchange",
            RetryLater: "try again in a while; if it stays, ask the exchange",
            FixRequest: "this exchange does not speak the protocol as expected: check rest_url",
        }.get(type(error), "ask the exchange")
        return fail(name, str(error), advice, exit_code_of(error))
    except Unreadable as error:
        return fail(name, f"an answer cannot be read: {error}", "check rest_url", Exit.UNREACHABLE)


# The venue ------------------------------------------------------------------------------------------------


async def _reach(rest_url: str) -> Check:
    """Name, TCP and TLS, each with its time."""
    parts = urlsplit(rest_url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    began = anyio.current_time()
    try:
        with anyio.fail_after(CONNECT_WITHIN_S):
            stream = await connect_tcp(host, port)
            connected = anyio.current_time()
            if tls:
                stream = await secure(stream, host)
    except TimeoutError:
        found = f"{host}:{port} does not answer within {CONNECT_WITHIN_S:.0f} s"
        return fail("connection", found, "check address, network and firewall", Exit.UNREACHABLE)
    except OSError as error:
        return fail("connection", f"{host}:{port}: {words(error)}", "check address and network", Exit.UNREACHABLE)
    found = f"{host}:{port}, TCP in {_ms(connected - began)}"
    found += f", TLS in {_ms(anyio.current_time() - connected)}" if tls else ", without TLS"
    await hang_up(stream, 1.0)
    if not tls and host not in {"localhost", "127.0.0.1", "::1"}:
        return warn("connection", found, "signatures can be read by others: use https")
    return ok("connection", found)


async def _rest(counter: Counter) -> Check:
    samples = []
    for _ in range(LATENCY_SAMPLES):
        await counter.bucket.wait(counter.clock)
        began = anyio.current_time()
        answer = await counter.rest.send(catalogue.timestamp().request)
        error = problem(catalogue.timestamp().request, answer)
        if error is not None:
            raise error
        samples.append(anyio.current_time() - began)
    found = f"median {_ms(statistics.median(samples))}, slowest {_ms(max(samples))} of {LATENCY_SAMPLES}"
    if statistics.median(samples) * 1000 > SLOW_MS:
        return warn("REST", found, "quotes will be late: run nearer to the exchange, or quote wider")
    return ok("REST", found)


async def _clock(counter: Counter) -> Check:
    await counter.bucket.wait(counter.clock)
    asked_at = counter.clock.now()
    answer = await counter.rest.send(catalogue.timestamp().request)
    if not isinstance(answer, Response):
        raise RetryLater(answer.reason)
    offset, uncertainty = clock_offset(asked_at, counter.clock.now(), catalogue.timestamp().read(answer))
    counter.clock.offset_ns = offset
    found = f"the venue's is {offset / SECOND:+.1f} s from ours, give or take {uncertainty / SECOND:.1f} s"
    if abs(offset) > SKEW_MAX:
        return fail("clock", skewed(offset), "switch on time synchronisation (NTP)", Exit.UNREACHABLE)
    if abs(offset) > SKEW_WARN:
        return warn("clock", found, "switch on time synchronisation (NTP): 5 s apart, every request is refused")
    return ok("clock", found)


async def _venue(counter: Counter) -> Check:
    version = await counter.asking.ask(catalogue.version())
    await counter.asking.ask(catalogue.health("alive"))
    real = not nothing_real(counter.target.rest_url or "", version)
    return ok("venue", f"version {version or 'not told'}, alive, {'real money: --live' if real else 'play money'}")


async def _markets(spec: RunSpec, counter: Counter, markets: dict[str, Market]) -> Check:
    markets |= await counter.markets()
    missing = [symbol for symbol in spec.settings.markets if symbol not in markets]
    if missing:
        guess = nearest(missing[0], markets)
        advice = f"did you mean {guess}?" if guess else "see runner markets"
        return fail("markets", f"the venue has no {', '.join(missing)}", advice, Exit.CONFIG)
    shut = [symbol for symbol in spec.settings.markets if not markets[symbol].enabled]
    if shut:
        return fail("markets", f"{', '.join(shut)} is not open for trading", "choose another market", Exit.CONFIG)
    return ok("markets", f"{', '.join(spec.settings.markets)} open, {len(markets)} in all")


async def _fees(spec: RunSpec, markets: Mapping[str, Market]) -> Check:
    told = []
    for symbol in spec.settings.markets:
        market = markets[symbol]
        told.append(f"{symbol} maker {plain(market.maker_fee)}, taker {plain(market.taker_fee)}")
    if not any(markets[symbol].maker_fee or markets[symbol].taker_fee for symbol in spec.settings.markets):
        return warn("fees", "; ".join(told), "the venue tells no fees: profit is shown before fees it may take")
    return ok("fees", "; ".join(told))


# Streams --------------------------------------------------------------------------------------------------


async def _public_stream(spec: RunSpec, counter: Counter, markets: Mapping[str, Market]) -> Check:
    codec = PublicStream(markets.values(), spec.settings.markets)
    waiting = set(spec.settings.markets)

    def hear(text: bytes) -> str | None:
        for what in codec.receive(text):
            if isinstance(what, BookSnapshot):
                waiting.discard(what.market)
            elif isinstance(what, VenueFault):
                return f"cannot be understood: {what.what}"
        return None if waiting else ""

    advice = "check stream_url; the exchange's stream server may have just begun"
    return await _stream("public", counter, PUBLIC_PATH, dict, codec.subscriptions, hear, advice, "books have come")


async def _private_stream(counter: Counter, key: Key, markets: Mapping[str, Market]) -> Check:
    codec = PrivateStream(markets.values())

    def headers() -> dict[str, str]:
        return signed_headers(key.credentials.access_key, key.credentials.secret_key, counter.clock.venue_ms())

    def hear(text: bytes) -> str | None:
        for what in codec.receive(text):
            if isinstance(what, StreamUp):
                return ""
            if isinstance(what, VenueFault):
                return f"cannot be understood: {what.what}"
        return None

    advice = "check stream_url and the key: fills are heard of here first"
    return await _stream("private", counter, PRIVATE_PATH, headers, tuple, hear, advice, "orders and trades are told")


async def _stream(
    name: Literal["public", "private"],
    counter: Counter,
    path: str,
    headers: Callable[[], Mapping[str, str]],
    greeting: Callable[[], Sequence[str]],
    hear: Callable[[bytes], str | None],
    advice: str,
    good: str,
) -> Check:
    """Connect once and listen until `hear` is content (an empty text), has a complaint, or time is over."""
    title = f"{name} stream"
    url = counter.target.stream_url
    if url is None:
        return warn(title, "not asked", "give a strategy FILE: it names the stream_url")
    sender, receiver = anyio.create_memory_object_stream[Item](100)
    found: str | None = f"not complete within {STREAM_WITHIN_S:.0f} s"
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks, sender, receiver:
        tasks.start_soon(
            partial(
                run_stream,
                name,
                url.rstrip("/") + path,
                headers=headers,
                greeting=greeting,
                inbox=sender,
                outbox=Outbox(),
                clock=counter.clock,
                dice=random.SystemRandom(),
                when_full="wait",
            )
        )
        with anyio.move_on_after(STREAM_WITHIN_S):
            async for item in receiver:
                complaint = _heard(item, hear)
                if complaint is not None:
                    found = complaint
                    break
        tasks.cancel_scope.cancel()
    if found:
        return fail(title, found, advice, Exit.CREDENTIALS if "refused" in found else Exit.UNREACHABLE)
    return ok(title, f"{good}, in {_ms(anyio.current_time() - began)}")


def _heard(item: Item, hear: Callable[[bytes], str | None]) -> str | None:
    match item:
        case Refused(status=status, body=body):
            return f"refused with {status} {' '.join(error_codes(body) or ())}".rstrip()
        case Disconnected(reason=reason):
            return reason
        case Frames(texts=texts):
            return next((said for text in texts if (said := hear(text)) is not None), None)
    return None


# The account ----------------------------------------------------------------------------------------------


async def _key(counter: Counter, key: Key) -> Check:
    balances = (await counter.asking.all(account.balances())).rows
    await may_trade(counter.asking)
    return ok("key", f"from {key.source}; may look and trade; {len(balances)} currencies held")


async def _client_id(counter: Counter, markets: Mapping[str, Market]) -> Check:
    """What the newest rows show of the names we gave (orders.md rule 11)."""
    page = await counter.asking.ask(account.orders(grids(markets.values())).page(1))
    named = [row for row in page.rows if row.client_id is not None]
    ours = [row for row in named if parse_client_id((row.client_id or "").upper()) is not None]
    exact = [row for row in ours if parse_client_id(row.client_id or "") is not None]
    owns = counter.ownership()
    mine = sum(owns(row) for row in ours) if owns else 0
    if exact:
        return ok("client_id", f"echoed: tier 1, by {len(exact)} orders of a runner, {mine} of this strategy")
    if not page.rows:
        return ok("client_id", "no orders yet: the first one will show whether names are echoed")
    if ours:
        return warn("client_id", "echoed, but changed: tier 2", "one order at a time and side while one is unproven")
    advice = "the first order of the runner will show it; until then tier 2: one unproven create at a time"
    return warn("client_id", f"none of {len(page.rows)} newest orders has a name of the runner's", advice)


def _budget(bucket: Bucket, spec: RunSpec, counter: Counter) -> Check:
    limit = spec.connector.rate_limit
    free = bucket.free(counter.clock.now())
    shared = "shared by all runs with this key" if isinstance(bucket, SharedBucket) else "of this process alone"
    found = f"{limit.requests} requests in {limit.per_ns / SECOND:g} s, {free} free now, {shared}"
    if not isinstance(bucket, SharedBucket) and counter.key is not None and counter.key.source != "sandbox":
        return warn("rate limit", found, "make the state folder writable (RUNNER_STATE_DIR)")
    return ok("rate limit", found)


# This machine ---------------------------------------------------------------------------------------------


def _state(counter: Counter, environment: Mapping[str, str]) -> Check:
    if counter.key is None or counter.key.source == "sandbox":
        return _folder(state_root(environment))
    return _folder(state_folder(environment, counter.key.account, counter.target.name or ""))


def _folder(folder: Path) -> Check:
    """Whether the journal can be kept there, and how long it takes to make an order durable."""
    try:
        private_folder(folder)
        fsync_ms = _fsync_ms(folder)
        space = os.statvfs(folder)
    except OSError as error:
        found = f"{folder}: {error.strerror or error}"
        return fail("state folder", found, "make it writable, or set RUNNER_STATE_DIR", Exit.UNPROVEN)
    free = space.f_bavail * space.f_frsize
    found = f"{folder}, fsync {fsync_ms:.1f} ms, {free / 2**30:.1f} GiB free"
    if free < DISK_WARN_BYTES:
        return warn("state folder", found, "make room: without it no order can be written down, and none is sent")
    if fsync_ms > FSYNC_WARN_MS:
        return warn("state folder", found, "every order waits for this: use a local SSD")
    return ok("state folder", found)


def _fsync_ms(folder: Path) -> float:
    path = folder / f".doctor-{os.getpid()}"
    times = []
    try:
        with path.open("wb") as file:
            for _ in range(FSYNC_SAMPLES):
                began = time.perf_counter()
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - began)
    finally:
        path.unlink(missing_ok=True)
    return statistics.median(times) * 1000


def _lock(counter: Counter, environment: Mapping[str, str]) -> Check:
    assert counter.key is not None
    if counter.key.source == "sandbox":
        return ok("lock", "a fresh one for every run")
    path = state_folder(environment, counter.key.account, counter.target.name or "") / LOCK_FILE
    if not is_held(path):
        return ok("lock", "free")
    who = holder(path)
    found = f"held by process {who.pid} on {who.host} since {who.started}" if who else "held"
    return fail(
        "lock", found, "a run of this strategy is going on: stop it, or give this file another name", Exit.LOCKED
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
