import gzip
import logging
import random
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import anyio
import httpcore
import pytest
import trio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSListener
from edge_peers import SmallExchange, pipe, pipe_server, read_request, tcp_server
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock

from runner.altmarkets.rest import NoResponse, Request, Response
from runner.altmarkets.signing import signed_headers
from runner.edge import http_transport, network
from runner.edge.clock import Clock
from runner.edge.rest import Rest
from runner.edge.sandbox import sandbox
from runner.model.credentials import Credentials
from runner.model.settings import SECOND

NOON = 1_700_000_000 * SECOND
NOON_MS = NOON // 1_000_000
KEY = Credentials("a1b2c3d4e5f60718", "00112233445566778899aabbccddeeff")
TIME = Request("GET", "/public/timestamp", private=False)
PLACE = Request("POST", "/market/orders", body=b'{"market":"rogerbtc"}')
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Connect = Callable[[str, int], Awaitable[ByteStream]]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rest_to(connect: Connect, clock: Clock | None = None) -> Rest:
    return Rest("http://venue.test/api/v2/peatio", KEY, clock or Clock(NOON), connect=connect)


def answering(answer: bytes) -> Callable[[ByteStream], Awaitable[None]]:
    """A server that reads a request, says this much and hangs up."""

    async def handler(stream: ByteStream) -> None:
        await read_request(stream)
        await stream.send(answer)

    return handler


# What is asked, and how it is signed ----------------------------------------------------------------------


@pytest.mark.anyio
async def test_asks_the_sandbox_and_gets_whole_answers() -> None:
    exchange, clock = SmallExchange(), Clock()
    async with sandbox(exchange, clock=clock) as venue, Rest(venue.rest_url, KEY, clock) as rest:
        answer = await rest.send(Request("GET", "/market/orders", query=(("state", "wait"), ("limit", "1000"))))
        assert isinstance(answer, Response)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert b'"x-auth-signature"' in answer.body
        assert b'"user-agent": "altmarkets-runner/' in answer.body
        assert isinstance(placed := await rest.send(PLACE), Response)
        assert placed.status == 201
        assert isinstance(plain := await rest.send(TIME), Response)
        assert b"x-auth" not in plain.body
    assert exchange.told == [
        ("GET", "/api/v2/peatio/market/orders?state=wait&limit=1000", b""),
        ("POST", "/api/v2/peatio/market/orders", b'{"market":"rogerbtc"}'),
        ("GET", "/api/v2/peatio/public/timestamp", b""),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_one_that_only_asks_sends_nothing_else(method: str) -> None:
    exchange, clock = SmallExchange(), Clock()
    async with sandbox(exchange, clock=clock) as venue, Rest(venue.rest_url, KEY, clock, only_asks=True) as rest:
        refused = await rest.send(Request(method, "/market/orders", body=b"{}"))
        assert refused == NoResponse(False, "here things are only asked for")
        assert isinstance(await rest.send(TIME), Response)
    assert [told[0] for told in exchange.told] == ["GET"]


@pytest.mark.anyio
async def test_signs_after_connecting_with_the_venues_time() -> None:
    heads: list[bytes] = []

    async def handler(stream: ByteStream) -> None:
        heads.append(await read_request(stream))
        await stream.send(OK)

    async with tcp_server(handler) as port:
        clock = Clock(NOON)
        clock.offset_ns = 3 * SECOND
        nonces: list[int] = []

        async def connect(host: str, port_: int) -> ByteStream:
            stream = await network.connect_tcp("127.0.0.1", port)
            clock.offset_ns = 7 * SECOND  # learnt while connecting: what counts is the moment of leaving
            return stream

        async with rest_to(connect, clock) as rest:
            assert await rest.send(PLACE, on_signed=nonces.append) == Response(200, {"content-length": "2"}, b"ok")
    assert NOON_MS + 7000 <= nonces[0] < NOON_MS + 60_000
    for name, value in signed_headers(KEY.access_key, KEY.secret_key, nonces[0]).items():
        assert f"{name}: {value}\r\n".encode() in heads[0]


def test_a_signature_that_comes_too_late_is_not_made() -> None:
    async def main() -> None:
        here, there = pipe()

        async def slow(host: str, port: int) -> ByteStream:
            await anyio.sleep(6)
            return here

        clock, signed = Clock(NOON), []
        async with rest_to(slow, clock) as rest:
            answer = await rest.send(PLACE, sign_before_ms=NOON_MS + 5999, on_signed=signed.append)
        assert answer == NoResponse(False, "not signed: 1 ms too late")
        assert signed == []
        assert there.sent_by_other == 0

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_not_a_byte_has_left_when_the_nonce_is_told() -> None:
    async def main() -> None:
        here, there = pipe()
        seen: list[int] = []

        async def connect(host: str, port: int) -> ByteStream:
            return here

        async def serve() -> None:
            await answering(OK)(there)
            await there.aclose()

        async with rest_to(connect) as rest, anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            answer = await rest.send(
                PLACE, sign_before_ms=NOON_MS, on_signed=lambda nonce: seen.append(there.sent_by_other)
            )
        assert isinstance(answer, Response)
        assert seen == [0]

    trio.run(main, clock=MockClock())


@pytest.mark.anyio
async def test_private_requests_need_credentials() -> None:
    async with Rest("http://127.0.0.1:9", None, Clock()) as rest:
        assert await rest.send(PLACE) == NoResponse(False, "no credentials to sign with")


@pytest.mark.anyio
@pytest.mark.parametrize("address", ["ws://venue/", "venue.test/api", "http://", "", "file:///etc/passwd"])
async def test_an_address_that_is_not_http_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="REST address"):
        Rest(address, KEY, Clock())


@pytest.mark.anyio
async def test_no_log_line_shows_a_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    nonces: list[int] = []
    async with tcp_server(answering(OK)) as port, Rest(f"http://127.0.0.1:{port}", KEY, Clock()) as rest:
        assert isinstance(await rest.send(PLACE, on_signed=nonces.append), Response)
    assert "http" in caplog.text
    for secret in signed_headers(KEY.access_key, KEY.secret_key, nonces[0]).values():
        assert secret not in caplog.text.replace(str(nonces[0]), "")
    assert KEY.secret_key not in caplog.text
    assert KEY.secret_key not in repr(KEY) + str(KEY)
    assert KEY.access_key not in repr(KEY) + str(KEY)


# What may go wrong, and whether a byte may have left ------------------------------------------------------


@pytest.mark.anyio
async def test_a_refused_connection_proves_that_nothing_left() -> None:
    async with tcp_server(answering(OK)) as port:
        pass  # the port is free again: nobody listens
    async with Rest(f"http://127.0.0.1:{port}", KEY, Clock()) as rest:
        answer = await rest.send(PLACE)
    assert answer == NoResponse(False, "cannot connect: Connection refused")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"", "not HTTP"),
        (b"HTTP/1.1 201 Crea", "not HTTP"),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{", "not HTTP"),
        (b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "not HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", "body cannot be unpacked"),
        (b"HTTP/1.1 201 Created\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", "not HTTP"),
    ],
)
async def test_half_an_answer_or_nonsense_leaves_the_outcome_open(answer: bytes, word: str) -> None:
    async with tcp_server(answering(answer)) as port, Rest(f"http://127.0.0.1:{port}", KEY, Clock()) as rest:
        got = await rest.send(PLACE)
    assert isinstance(got, NoResponse)
    assert got.sent
    assert got.reason.startswith(word), got.reason


@pytest.mark.anyio
async def test_a_reset_leaves_the_outcome_open() -> None:
    async def reset(stream: ByteStream) -> None:
        await stream.receive(10)  # unread bytes make the kernel reset the connection

    big = Request("POST", "/market/orders", body=b"x" * 1_000_000)
    async with tcp_server(reset) as port, Rest(f"http://127.0.0.1:{port}", KEY, Clock()) as rest:
        got = await rest.send(big)
    assert isinstance(got, NoResponse)
    assert got.sent


@pytest.mark.anyio
async def test_an_answer_too_large_to_keep_is_given_up() -> None:
    async def endless(stream: ByteStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            try:
                await stream.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            except anyio.BrokenResourceError:
                return

    async with (
        tcp_server(endless) as port,
        Rest(f"http://127.0.0.1:{port}", KEY, Clock(), answer_bytes_max=100_000) as rest,
    ):
        assert await rest.send(TIME) == NoResponse(True, "connection lost: answer larger than 100000 bytes")


@pytest.mark.anyio
async def test_a_compressed_answer_is_read_and_a_redirect_is_not_followed() -> None:
    packed = gzip.compress(b"[]")
    zipped = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    async with tcp_server(answering(zipped)) as port, Rest(f"http://127.0.0.1:{port}", KEY, Clock()) as rest:
        assert isinstance(answer := await rest.send(TIME), Response)
        assert answer.body == b"[]"
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with tcp_server(answering(moved)) as port, Rest(f"http://127.0.0.1:{port}", KEY, Clock()) as rest:
        assert isinstance(answer := await rest.send(PLACE), Response)
        assert answer.status == 302


def test_the_deadline_tells_no_connection_from_no_answer() -> None:
    async def main() -> None:
        async def never(host: str, port: int) -> ByteStream:
            await anyio.sleep_forever()
            raise AssertionError

        async with rest_to(never) as rest:
            assert await rest.send(PLACE) == NoResponse(False, "no connection within 10 s")
            assert anyio.current_time() == pytest.approx(10)

        async def silent(stream: ByteStream) -> None:
            await read_request(stream)
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
            await anyio.sleep_forever()

        async with pipe_server(silent) as connect, rest_to(connect) as rest:
            before = anyio.current_time()
            assert await rest.send(PLACE, deadline_s=2.5) == NoResponse(True, "no complete answer within 2.5 s")
            assert anyio.current_time() - before == pytest.approx(2.5)

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_the_ninth_request_at_once_waits_for_a_connection_and_nothing_of_it_leaves() -> None:
    async def main() -> None:
        answers: list[Response | NoResponse] = []

        async def silent(stream: ByteStream) -> None:
            await read_request(stream)
            await anyio.sleep_forever()

        async with pipe_server(silent) as connect, rest_to(connect) as rest, anyio.create_task_group() as tasks:

            async def ask(deadline_s: float) -> None:
                answers.append(await rest.send(PLACE, deadline_s=deadline_s))

            for _ in range(http_transport.POOL_SIZE):
                tasks.start_soon(ask, 20.0)
            await anyio.sleep(1)
            await ask(5.0)
            assert answers == [NoResponse(False, "no connection within 5 s")]
        assert [answer.sent for answer in answers[1:] if isinstance(answer, NoResponse)] == [
            True
        ] * http_transport.POOL_SIZE

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.anyio
async def test_cancellation_goes_through_and_leaves_the_pool_usable() -> None:
    asked = anyio.Event()
    connections = 0

    async def first_silent(stream: ByteStream) -> None:
        nonlocal connections
        connections += 1
        await read_request(stream)
        if connections > 1:
            await stream.send(OK)
            return
        asked.set()
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()  # the client hangs up: a request that was given up does not linger

    async with tcp_server(first_silent) as port, Rest(f"http://127.0.0.1:{port}", KEY, Clock()) as rest:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(rest.send, PLACE)
                await asked.wait()
                scope.cancel()
        assert scope.cancelled_caught
        assert isinstance(await rest.send(TIME), Response)


@pytest.mark.anyio
async def test_connections_are_kept_and_a_dropped_one_is_not_used() -> None:
    exchange, clock = SmallExchange(), Clock()
    connections = 0

    async def connect(host: str, port: int) -> ByteStream:
        nonlocal connections
        connections += 1
        return await network.connect_tcp(host, port)

    async with sandbox(exchange, clock=clock) as venue, Rest(venue.rest_url, KEY, clock, connect=connect) as rest:
        for _ in range(5):
            assert isinstance(await rest.send(PLACE), Response)
        assert connections == 1
        await venue.drop_connections()
        await anyio.wait_all_tasks_blocked()
        answers = [await rest.send(PLACE) for _ in range(3)]
    # Either the loss was seen before the request left (a new connection), or the outcome of that one is open.
    assert all(isinstance(answer, Response) for answer in answers[1:])
    if isinstance(answers[0], NoResponse):
        assert answers[0].sent


@given(answer=st.binary(max_size=300), head=st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", OK]))
@example(head=b"HTTP/1.1 200 OK\r\n", answer=b"Set-Cookie: \x00\xff=;expires=x\r\nContent-Length: 1e9\r\n\r\n")
@example(head=b"HTTP/1.1 200 OK\r\n", answer=b"Set-Cookie: a=b; max-age=zz; expires=Q\r\nContent-Length: 0\r\n\r\n")
@example(head=b"HTTP/1.1 200 OK\r\n", answer=b"Location: http://[::1\r\nContent-Length: 0\r\n\r\n")
@example(head=b"HTTP/1.1 200 OK\r\n", answer=b"Content-Type: text/html; charset=\xff\r\nContent-Length: 0\r\n\r\n")
def test_no_answer_whatever_raises(head: bytes, answer: bytes) -> None:
    async def main() -> None:
        async with pipe_server(answering(head + answer)) as connect, rest_to(connect) as rest:
            got = await rest.send(PLACE)
            assert isinstance(got, Response) or got.sent

    trio.run(main, clock=MockClock(autojump_threshold=0))


@given(seed=st.integers(0, 2**32), cut=st.integers(0, 400))
def test_wherever_the_line_is_cut_the_outcome_is_open_unless_nothing_left(seed: int, cut: int) -> None:
    """The connection dies after `cut` bytes of the request, with or without a part of an answer before."""
    dice = random.Random(seed)

    async def main() -> None:
        async def dying(stream: ByteStream) -> None:
            got = 0
            with suppress(anyio.EndOfStream):  # a cut behind the request's end: the client waits, then gives up
                while got < cut:
                    got += len(await stream.receive(cut - got))
            if dice.random() < 0.5:
                await stream.send(OK[: dice.randrange(len(OK))])

        async with pipe_server(dying) as connect, rest_to(connect) as rest:
            signed: list[int] = []
            answer = await rest.send(PLACE, on_signed=signed.append)
        assert isinstance(answer, NoResponse)
        assert answer.sent
        assert signed == [NOON_MS]

    trio.run(main, clock=MockClock(autojump_threshold=0))


# TLS ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_tls_to_a_server_without_it_proves_that_nothing_left() -> None:
    async def plain(stream: ByteStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with tcp_server(plain) as port, Rest(f"https://127.0.0.1:{port}", KEY, Clock()) as rest:
        answer = await rest.send(PLACE)
    assert isinstance(answer, NoResponse)
    assert not answer.sent
    assert answer.reason.startswith("cannot connect")


@pytest.mark.anyio
@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
async def test_tls_is_spoken_and_the_certificate_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        f"-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(certificate, key)
    ours = ssl.create_default_context(cafile=str(certificate))

    async def serve(stream: ByteStream) -> None:
        async with stream:
            await answering(OK)(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with TLSListener(listener, theirs, standard_compatible=False) as tls, anyio.create_task_group() as tasks:
        tasks.start_soon(tls.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with Rest(f"https://localhost:{port}", KEY, Clock()) as rest:
            answer = await rest.send(PLACE)  # our certificate is nobody's friend yet
            assert isinstance(answer, NoResponse)
            assert not answer.sent
            assert "certificate" in answer.reason
        monkeypatch.setattr(network, "tls_context", lambda: ours)
        monkeypatch.setattr(http_transport, "tls_context", lambda: ours)
        async with Rest(f"https://localhost:{port}", KEY, Clock()) as rest:
            assert isinstance(await rest.send(PLACE), Response)
        async with await network.secure(await network.connect_tcp("localhost", port), "localhost") as stream:
            await stream.send(b"GET / HTTP/1.1\r\n\r\n")  # as the streams do
            assert await stream.receive() == OK
        plain = await network.connect_tcp("localhost", port)
        with pytest.raises(OSError, match=r"certificate|mismatch"):
            await network.secure(plain, "other.test")
        await anyio.aclose_forcefully(plain)
        tasks.cancel_scope.cancel()


def test_httpcore_still_tells_when_a_request_leaves() -> None:
    """What `sent` rests on: if httpcore renames this moment, nothing would be signed and this fails first."""

    async def main() -> None:
        names: list[str] = []

        async def watch(name: str, info: dict[str, object]) -> None:
            names.append(name)
            if name == "http11.send_request_headers.started":
                assert isinstance(info["request"], httpcore.Request)

        async with pipe_server(answering(OK)) as connect:
            transport = http_transport.HttpTransport(connect, tls=False, answer_bytes_max=100)
            request = httpcore.Request(
                "GET", "http://venue.test/", headers=[("Host", "venue.test")], extensions={"trace": watch}
            )
            response = await transport._pool.handle_async_request(request)
            await response.aread()
            await response.aclose()
            await transport.aclose()
        assert names.count("http11.send_request_headers.started") == 1

    trio.run(main)
