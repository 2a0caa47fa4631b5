"""Who is asking: the exchange's check of a signed request. Source: wire reference 2.2, 2.3 (steps 3 to 12)."""

import hashlib
import hmac
from collections.abc import Callable, Mapping

from msgspec import Struct

NONCE_WINDOW_MS = 5000
"""The nonce must be closer to the server's clock than this, on either side."""

_HEADERS = ("x-auth-apikey", "x-auth-nonce", "x-auth-signature")


class Credential(Struct, frozen=True):
    """What is known of an access key and its owner. `verbs` are the HTTP methods that the owner's role permits."""

    secret: str
    member: int
    key_active: bool = True
    owner_active: bool = True
    two_factor: bool = True
    verbs: tuple[str, ...] = ("GET", "POST")


class Denied(Exception):
    """The request goes no further: an HTTP status and one code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


def authorise(method: str, headers: Mapping[str, str], find: Callable[[str], Credential | None], now_ms: int) -> int:
    """The member who signed. `find` looks an access key up; header names are lower case.

    Raises Denied with the first check that fails.
    """
    values = [headers.get(name) for name in _HEADERS]
    if all(value is None for value in values):  # falls back to a cookie, which nobody has
        raise Denied(401, "authz.invalid_session" if method == "GET" else "authz.missing_csrf_token")
    if not all(value and value.strip() for value in values):
        raise Denied(422, "authz.invalid_api_key_headers")
    access, nonce, signature = (value or "" for value in values)
    credential = find(access)
    if credential is None:
        raise Denied(401, "authz.unexistent_apikey")
    _check_nonce(nonce, now_ms)
    message = (nonce + access).encode()
    expected = hmac.new(credential.secret.encode(), message, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise Denied(401, "authz.invalid_signature")
    _check_standing(credential, method)
    return credential.member


def _check_nonce(nonce: str, now_ms: int) -> None:
    # At most twenty digits: far beyond any time, and far below what is slow to turn into a number.
    if not (nonce.isascii() and nonce.isdigit() and len(nonce) <= 20 and int(nonce) > 0):
        raise Denied(401, "authz.nonce_not_valid_timestamp")
    if abs(now_ms - int(nonce)) >= NONCE_WINDOW_MS:
        raise Denied(401, "authz.nonce_expired")


def _check_standing(credential: Credential, method: str) -> None:
    if not credential.key_active:
        raise Denied(401, "authz.apikey_not_active")
    if not credential.owner_active:
        raise Denied(401, "authz.invalid_session")
    if not credential.two_factor:
        raise Denied(401, "authz.disabled_2fa")
    if method not in credential.verbs:
        raise Denied(401, "authz.invalid_permission")
