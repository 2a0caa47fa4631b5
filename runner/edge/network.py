"""How a byte stream to a host comes about: the one place where a simulated network takes the real one's seat.

`Connect` is the whole seam. Everything above it (HTTP, WebSocket, TLS) is the same in a simulation.
"""

import errno
import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache

import anyio
import httpx
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from runner import __version__

Connect = Callable[[str, int], Awaitable[ByteStream]]
"""Host and port to a connected stream without TLS; raises OSError with the reason."""

USER_AGENT = f"altmarkets-runner/{__version__}"  # the venue wants one that is not empty

LOST = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
"""What a stream raises when the other end is not there any more."""


async def connect_tcp(host: str, port: int) -> ByteStream:
    """A TCP connection. Raises OSError, its text fit for a reader: `Connection refused`."""
    try:
        return await anyio.connect_tcp(host, port)
    except OSError as error:
        raise OSError(words(error)) from error
    except UnicodeError as error:
        raise OSError(f"{host!r} cannot be a host name") from error


def words(error: BaseException) -> str:
    """What went wrong with a stream, in the operating system's words, which hide in the cause of the cause."""
    while (cause := error.__cause__) is not None:
        # One failure for each address of a host: they are mostly the same.
        error = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) in errno.errorcode:
        return os.strerror(error.errno or 0)
    return (isinstance(error, OSError) and error.strerror) or str(error) or "the other end hung up"


async def secure(stream: ByteStream, host: str) -> ByteStream:
    """Put TLS on a stream, checking the host's certificate. Raises OSError."""
    try:
        return await TLSStream.wrap(stream, hostname=host, ssl_context=tls_context(), standard_compatible=False)
    except (anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise OSError("connection lost during the TLS handshake") from error


async def hang_up(stream: ByteStream, patience_s: float) -> None:
    """Close a stream so that what was written arrives: say that no more comes, wait until the other end hangs up.

    Takes `patience_s` at most, even when cancelled, and never raises. Closing at once, with unread bytes in the
    buffer, would reset the connection and take our last words with it.
    """
    with anyio.CancelScope(shield=True):
        with anyio.move_on_after(patience_s), suppress(NotImplementedError, anyio.EndOfStream, *LOST):
            await stream.send_eof()  # NotImplementedError: TLS cannot be half closed
            while True:
                await stream.receive()
        await anyio.aclose_forcefully(stream)


@cache
def tls_context() -> ssl.SSLContext:
    """Whom we trust: the authorities that httpx brings along, or those of SSL_CERT_FILE. Takes a while to make."""
    return httpx.create_ssl_context()
