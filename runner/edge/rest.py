"""REST requests over a real or simulated network: signed as they leave, sent once, ended by a deadline.

Whatever the network does becomes a value: a `Response`, or a `NoResponse` that says whether a byte may have left.
That bit decides about money (orders.md rule 7), so it is taken from the one moment that proves it: signing happens
when a connection is open and the head of the request is about to be written, and nowhere else.
"""

import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import anyio
import httpcore
import httpx

from runner.altmarkets.rest import NoResponse, Request, Response
from runner.altmarkets.signing import signed_headers
from runner.edge.clock import Clock
from runner.edge.http_transport import HttpTransport
from runner.edge.network import USER_AGENT, Connect, connect_tcp
from runner.model.credentials import Credentials

ANSWER_BYTES_MAX = 16 * 1024 * 1024  # a page of 1000 orders is about half a megabyte

# httpcore's name for the moment at which the first byte of a request is about to be written.
_DEPARTURE = "http11.send_request_headers.started"


class Rest:
    """A venue's REST interface. Requests may run at the same time; each uses a connection of its own.

    `base_url` is what the paths of requests are relative to. Without `credentials` only public requests leave, and
    of one that `only_asks` nothing but a GET, whatever it is given to send.
    Raises ValueError for a base URL that is not http(s).
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials | None,
        clock: Clock,
        *,
        connect: Connect = connect_tcp,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
        only_asks: bool = False,
    ) -> None:
        base = httpx.URL(base_url)
        if base.scheme not in {"http", "https"} or not base.host:
            raise ValueError(f"REST address {base_url!r} is not http://... or https://...")
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        self._clock = clock
        self._answer_bytes_max = answer_bytes_max
        self._only_asks = only_asks
        self._client = httpx.AsyncClient(
            transport=HttpTransport(connect, tls=base.scheme == "https", answer_bytes_max=answer_bytes_max),
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"},
            timeout=None,  # noqa: S113 - one deadline around the whole request instead of one for each of its steps
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._client.aclose()

    async def send(
        self,
        request: Request,
        *,
        deadline_s: float = 10.0,
        sign_before_ms: int | None = None,
        on_signed: Callable[[int], None] | None = None,
    ) -> Response | NoResponse:
        """Send a request once and wait for the whole answer, at most `deadline_s`.

        A private request is signed with the venue's time at the moment it leaves. If that is later than
        `sign_before_ms` nothing leaves: NoResponse(sent=False). `on_signed` hears the nonce (venue ms) before the
        first byte goes out. Never raises for anything that network or venue do; cancellation goes through.
        """
        departure = _Departure(self._credentials if request.private else None, self._clock, sign_before_ms, on_signed)
        if self._only_asks and request.method != "GET":
            return NoResponse(False, "here things are only asked for")
        if request.private and self._credentials is None:
            return NoResponse(False, "no credentials to sign with")
        try:
            with anyio.fail_after(deadline_s):
                return await self._exchange(request, departure)
        except TimeoutError:
            what = "complete answer" if departure.left else "connection"
            return NoResponse(departure.left, f"no {what} within {deadline_s:g} s")
        except NotSigned as refusal:
            return NoResponse(False, str(refusal))
        except zlib.error as error:
            return NoResponse(True, f"body cannot be unpacked: {error}")
        # ValueError: a header or a target that httpx or h11 cannot make sense of.
        except (httpx.HTTPError, httpx.InvalidURL, httpcore.NetworkError, httpcore.ProtocolError, ValueError) as error:
            return NoResponse(departure.left, f"{_words(error)}: {error}".removesuffix(": "))

    async def _exchange(self, request: Request, departure: "_Departure") -> Response:
        async with self._client.stream(
            request.method,
            self._base_url + request.path,
            params=request.query or None,
            content=request.body,
            headers={"Content-Type": "application/json"} if request.body is not None else None,
            extensions={"trace": departure},
        ) as response:
            body = b"".join([chunk async for chunk in response.aiter_raw()])
            headers = dict(response.headers.items())
            if headers.get("content-encoding", "identity") != "identity":
                body = _unpacked(body, self._answer_bytes_max)
            return Response(response.status_code, headers, body)


class _Departure:
    """Watches one request through httpcore's trace hook, signs it as it leaves, and knows whether it left."""

    def __init__(
        self,
        credentials: Credentials | None,
        clock: Clock,
        sign_before_ms: int | None,
        on_signed: Callable[[int], None] | None,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._sign_before_ms = sign_before_ms
        self._on_signed = on_signed
        self.left = False

    async def __call__(self, name: str, info: dict[str, Any]) -> None:
        if name == _DEPARTURE:
            self._leave(info["request"])

    def _leave(self, request: httpcore.Request) -> None:
        assert not self.left, "a request leaves once"
        if self._credentials is not None:
            nonce = self._clock.venue_ms()
            if self._sign_before_ms is not None and nonce > self._sign_before_ms:
                raise NotSigned(f"not signed: {nonce - self._sign_before_ms} ms too late")
            headers = signed_headers(self._credentials.access_key, self._credentials.secret_key, nonce)
            request.headers.extend((name.encode(), value.encode()) for name, value in headers.items())
            if self._on_signed is not None:
                self._on_signed(nonce)
        self.left = True


class NotSigned(Exception):
    """It is not signed any more, so nothing leaves. `on_signed` may raise it too."""


def _unpacked(body: bytes, bytes_max: int) -> bytes:
    """Undo gzip or deflate, whichever it is. A kilobyte can unpack to a megabyte, so this has a bound of its own."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    unpacked = unpacker.decompress(body, bytes_max)
    if not unpacker.eof:
        raise zlib.error(f"incomplete, or larger than {bytes_max} bytes")
    return unpacked


_WORDS: dict[type[Exception], str] = {
    httpcore.ConnectError: "cannot connect",
    httpcore.ReadError: "connection lost",
    httpcore.WriteError: "connection lost",
    httpcore.RemoteProtocolError: "not HTTP",
}


def _words(error: Exception) -> str:
    return _WORDS.get(type(error), type(error).__name__)
