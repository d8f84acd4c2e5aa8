"""What a base_url may be: the key travels over TLS, or to this machine, or to a host that the user named.

Never done: name resolution, network calls.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from connector.errors import FixInput
from connector.settings.declarations import DEFAULT_BASE_URL

__all__ = ["check_host", "is_loopback"]

_BAD_URL = re.compile(r"[\s\\\x00-\x1f\x7f]")
_URL_REMEDY = f"Write it like {DEFAULT_BASE_URL}."


def check_host(base_url: str, allow_http: tuple[str, ...] | list[str] = ()) -> str:
    """Make sure that the key may travel to `base_url`.

    Args:
        base_url: address of the API, with its ``/v1``.
        allow_http: hosts that may be called without TLS (inside a cluster).

    Returns:
        `base_url` without a trailing slash.

    Raises:
        FixInput: plain http to a host that is neither loopback nor in `allow_http`, credentials in the URL, or no URL.
    """
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise FixInput(f"base_url is not an address: {error}.", remedy=_URL_REMEDY) from None
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise FixInput(
            f"base_url for host {host!r} holds credentials.",
            remedy="Remove them: the key belongs in the environment variable that key_env names.",
        )
    if not host or parts.scheme not in {"http", "https"} or _BAD_URL.search(base_url) or parts.query or parts.fragment:
        raise FixInput(f"base_url {base_url!r} is not a plain http(s) address.", remedy=_URL_REMEDY)
    if parts.scheme == "http" and not is_loopback(host) and host not in {name.lower() for name in allow_http}:
        raise FixInput(
            f"base_url {base_url!r} would send the key unencrypted to {host!r}.",
            remedy=f'Use https, or name the host: allow_http = ["{host}"] under [api].',
        )
    return base_url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an IP address, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
