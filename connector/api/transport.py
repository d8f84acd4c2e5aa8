"""The wire: every detail of httpx and aiohttp. A request of encoded parts goes out, a response and its body come back.

Promised: TLS is verified, and SSL_CERT_FILE and SSL_CERT_DIR are honoured; redirects are never followed; the
environment's proxy is used, except for loopback; no library below sends a request a second time; a body larger than
`BIGGEST`, or than `MOST_INFLATED` once it is decompressed, is refused while it comes. Never done: retries, time limits
(the caller sets one deadline around the whole exchange), reading what a body says.

httpx is the interface (requests, responses, headers, decoders), the aiohttp transport does the work. It is called
directly: `AsyncClient` on top of it only adds redirects, cookies and auth, all of which are unwanted here. Measured on
two cores over loopback, 6,000 GETs of 2.5 kB, 64 callers (``tests/benchmarks/transport.py``; CPU is the client's):

    bare aiohttp                         14,540/s     68 µs a call
    transport called with httpx.Request   5,471/s    183 µs
    AsyncClient over the transport        3,025/s    330 µs
    httpx's own pool                        221/s  4,525 µs
    `send`, with gate and checks          7,397/s    135 µs    (see `Request` for what it saves)

The transport's error mapping is too coarse (a refused connection arrives as `httpx.ConnectTimeout`), so `cause_of`
reads the error beneath it.
"""

from __future__ import annotations

import io
import ssl
import urllib.request
import zlib
from collections.abc import AsyncIterable, Iterator
from typing import TypeAlias, cast
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from connector.errors import FixInput
from connector.settings.hosts import is_loopback

__all__ = [
    "BROKEN",
    "BodyTooLarge",
    "Headers",
    "Request",
    "Response",
    "Transport",
    "cause_of",
    "is_untrusted",
    "never_sent",
    "open_transport",
    "read_body",
]

BIGGEST = 256 * 1024 * 1024  # bytes: a page of 1000 is a few MB; beyond this something else is answering
MOST_INFLATED = 48 * 1024 * 1024  # bytes of a compressed body: few bytes on the wire can grow to any size
_GZIP = 31  # zlib's number for gzip with its header
_AT_ONCE = 1024 * 1024  # bytes that are inflated at once
KEEP_ALIVE = 15.0  # seconds: shorter than the idle time-out of common proxies, so that this side closes first
Response: TypeAlias = httpx.Response
Transport: TypeAlias = AiohttpTransport


class BodyTooLarge(Exception):
    """A body that no page can have."""


class NotDecoded(Exception):
    """A body in a coding that was not asked for, or a broken one."""


BROKEN = (TimeoutError, httpx.HTTPError, aiohttp.ClientError, OSError, BodyTooLarge, NotDecoded)
"""What an exchange raises when no whole answer came."""


class Headers(httpx.Headers):
    """Request headers. A traceback with local variables does not print them: the key is among them."""

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


class Request(httpx.Request):
    """A request made of parts that `connector.api.calls` has encoded already.

    httpx would parse the address and copy the headers once more, a quarter of the time of a small call; aiohttp
    parses the address anyway.
    """

    def __init__(self, method: str, url: str, headers: httpx.Headers, content: bytes) -> None:
        self.method = method
        self.url = cast("httpx.URL", url)  # the transport only takes its text
        self.headers = headers
        self.extensions = {}
        self._body = content

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return self._body


async def read_body(response: Response) -> bytes:
    """Read the whole body; it is decompressed where a proxy has compressed it (the server never does, contract.md 1.4).

    Raises:
        BodyTooLarge: more than `BIGGEST` bytes, or more than `MOST_INFLATED` after decompression.
        NotDecoded: it has another coding than gzip, more than one, or is broken.
    """
    # The plain stream skips two generators per body, a tenth of the time of a small call.
    chunks = cast("AsyncIterable[bytes]", response.stream)
    try:
        if "content-encoding" in response.headers:
            return await _decoded(chunks, response.headers["content-encoding"].strip().lower())
        parts, size = [], 0
        async for chunk in chunks:
            parts.append(chunk)
            size += len(chunk)
            if size > BIGGEST:
                raise BodyTooLarge(f"the answer is larger than {BIGGEST // 2**20} MiB")
    except BaseException:
        await response.aclose()  # the rest of this body must not be read as the next answer
        raise
    return b"".join(parts)


async def _decoded(chunks: AsyncIterable[bytes], coding: str) -> bytes:
    """Return the text of a body with a `Content-Encoding`. Raises as `read_body`."""
    if coding not in ("gzip", "x-gzip", "identity", ""):
        raise NotDecoded(f"the answer has the coding {coding!r}, and gzip alone was asked for")
    inflate = _Gzip() if coding in ("gzip", "x-gzip") else None
    text = io.BytesIO()  # gives its bytes without a copy
    async for chunk in chunks:
        for part in inflate.parts(chunk) if inflate else (chunk,):
            if text.write(part) and text.tell() > MOST_INFLATED:
                raise BodyTooLarge(f"the answer is larger than {MOST_INFLATED // 2**20} MiB once it is decompressed")
    if inflate is not None and not inflate.whole:
        raise NotDecoded("the compressed answer was cut off")
    return text.getvalue()


class _Gzip:
    """Inflates a body of one or several gzip members, a little at a time: few bytes can grow to any size.

    Attributes:
        whole: the last member has ended.
    """

    def __init__(self) -> None:
        self.whole = True  # a body without a byte is one, too
        self._member = zlib.decompressobj(_GZIP)

    def parts(self, chunk: bytes) -> Iterator[bytes]:
        """Inflate what has come. Raises `NotDecoded`."""
        pending = bool(chunk)
        while pending:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            try:
                yield (text := self._member.decompress(chunk, _AT_ONCE))
            except zlib.error as error:
                raise NotDecoded(f"the answer cannot be decompressed: {error}") from None
            self.whole = self._member.eof
            # Zeros may follow a member; text may still come where all of the chunk is taken in.
            chunk = self._member.unused_data.lstrip(b"\0") if self.whole else self._member.unconsumed_tail
            pending = bool(chunk) or (not self.whole and len(text) == _AT_ONCE)


def cause_of(error: Exception) -> BaseException:
    """Return the error beneath the one that the transport raised."""
    return error.__cause__ or error


def is_untrusted(error: Exception) -> bool:
    """Whether the exchange failed because TLS could not be verified."""
    return isinstance(cause_of(error), aiohttp.ClientSSLError)


def never_sent(error: Exception) -> bool:
    """Whether it is certain that the server did not see the request: no connection was made."""
    return isinstance(cause_of(error), aiohttp.ClientConnectorError)


def open_transport(base_url: str, connections: int) -> Transport:
    """Make the transport for one host, with a pool of `connections`. No connection is opened yet.

    Raises:
        FixInput: the environment names a proxy that is not an http(s) address.
    """
    if base_url.startswith("http:") and is_loopback(urlsplit(base_url).hostname or ""):
        context = ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )  # never used on plain http; loading the authorities would cost 50 ms
    else:
        context = httpx.create_ssl_context()  # SSL_CERT_FILE and SSL_CERT_DIR are honoured

    def session() -> aiohttp.ClientSession:  # made inside the loop that uses it
        pool = aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEP_ALIVE, ssl=context)
        opened = aiohttp.ClientSession(connector=pool, cookie_jar=aiohttp.DummyCookieJar())
        # aiohttp repeats PUT and DELETE by itself when a kept connection drops: a second write without being asked.
        opened._retry_connection = False
        return opened

    return AiohttpTransport(verify=context, client=session, proxy=_proxy(base_url))


def _proxy(base_url: str) -> httpx.Proxy | None:
    """The environment's proxy for this one host. aiohttp's own reading would also send ``.netrc`` passwords."""
    parts = urlsplit(base_url)
    if is_loopback(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None  # a proxy's loopback is another machine, and plain http to it would show the key
    found = urllib.request.getproxies()
    address = found.get(parts.scheme) or found.get("all")
    if not address:
        return None
    try:
        return httpx.Proxy(address if "://" in address else f"http://{address}")
    except (ValueError, httpx.InvalidURL):
        raise FixInput(
            f"The proxy set for {parts.scheme} in the environment is not an http(s) proxy.",
            remedy="Write HTTPS_PROXY like http://host:port, or add the API's host to NO_PROXY.",
        ) from None
