"""What to do about a failed request: the venue's many words and silences as five kinds of error.

A caller decides by the class, a person reads the message, and `codes` keeps the venue's own words, also those that
nobody has heard of. Source: wire reference 2.3, 7 and 12.
"""

from runner.altmarkets.messages import error_codes
from runner.altmarkets.rest import NoResponse, Request, Response

AGAIN_S_MAX = 3600
"""The longest that a `Retry-After` is believed."""


class VenueError(Exception):
    """A request that did not succeed. `status` is None if no complete answer came.

    `codes` are the venue's own words, empty if it used none that can be read. `again_s`: it asked for this pause.
    """

    def __init__(
        self, message: str, status: int | None = None, codes: tuple[str, ...] = (), again_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.codes = codes
        self.again_s = again_s


class RetryLater(VenueError):
    """Nothing was decided and nothing is wrong with the request: the same one may succeed in a while."""


class FixRequest(VenueError):
    """The venue will never accept this request as it is."""


class WaitForBalance(VenueError):
    """The account cannot cover it now."""


class StopTrading(VenueError):
    """The key, the account or the place we call from is not allowed to: a person has to look."""


class OutcomeUnknown(VenueError):
    """It may have been done: find out, never send it twice (orders.md rule 7)."""


# Words that stand alone; whatever is not here is told by its beginning, then by the status.
_BY_CODE: dict[str, type[VenueError]] = {
    "market.account.insufficient_balance": WaitForBalance,
    "market.order.insufficient_market_liquidity": RetryLater,
    "market.order.create_error": OutcomeUnknown,
    "market.order.cancel_error": RetryLater,
    "record.not_found": FixRequest,
    "user.ability.not_permitted": StopTrading,
    "account.deposit.not_permitted": StopTrading,
    "account.withdraw.not_permitted": StopTrading,
    "market.trade.not_permitted": StopTrading,
    "authz.nonce_expired": RetryLater,
    "authz.restrict.maintenance": RetryLater,
    "authz.invalid_api_key_headers": StopTrading,  # a 422, but it is about the key
    "jwt.decode_and_verify": RetryLater,
    "server.internal_error": OutcomeUnknown,
    "server.method.invalid_message_body": FixRequest,
    "server.method_not_allowed": FixRequest,
}
_BY_BEGINNING: tuple[tuple[str, type[VenueError]], ...] = (
    ("authz.", StopTrading),
    ("market.", FixRequest),
    ("public.", FixRequest),
    ("admin.pagination.", FixRequest),
    ("pagination.", FixRequest),
    ("account.", FixRequest),
)
# A list may hold several words: the one that binds most decides.
_GRAVEST = (OutcomeUnknown, StopTrading, FixRequest, WaitForBalance, RetryLater)

_REASONS = {
    "market.account.insufficient_balance": "the free balance does not cover it",
    "market.order.invalid_volume_or_price": "price or quantity breaks the market's minimum, maximum or precision",
    "market.order.insufficient_market_liquidity": "the other side of the book is smaller than this market order",
    "market.market.doesnt_exist": "there is no such market, or it is disabled",
    "market.market.doesnt_exist_or_not_enabled": "there is no such market, or it is disabled",
    "public.market.doesnt_exist": "there is no such market, or it is disabled",
    "market.trade.not_permitted": "the account's level is too low to trade: raise it at the exchange",
    "account.deposit.not_permitted": "the account's level is too low to see deposits",
    "account.withdraw.not_permitted": "the account's level is too low to see withdrawals",
    "user.ability.not_permitted": "the account's role has no right to this",
    "record.not_found": "the account has no such thing",
    "authz.unexistent_apikey": "the exchange does not know this API key",
    "authz.invalid_signature": "the secret does not belong to this API key",
    "authz.apikey_not_active": "the API key is disabled: enable it at the exchange, or make a new one",
    "authz.invalid_permission": "the API key has no permission for this: give it the permission to trade",
    "authz.permission_denied": "the exchange blocks this path",
    "authz.disabled_2fa": "two-factor login is off: the exchange wants it on for API keys",
    "authz.invalid_session": "the account behind the API key is not active",
    "authz.missing_csrf_token": "the request went out without its signature",
    "authz.invalid_api_key_headers": "key or signature is missing or blank",
    "authz.nonce_not_valid_timestamp": "the exchange cannot read the time in the signature",
    "authz.nonce_expired": "this machine's clock and the exchange's are too far apart: set it (NTP)",
    "authz.restrict.maintenance": "the exchange is being maintained",
    "authz.restrict.blacklist": "the exchange does not serve this address or country",
}


def problem(request: Request, answer: Response | NoResponse) -> VenueError | None:
    """What went wrong with a request; None if nothing did. Never raises, whatever the body.

    A create is the one request that must not be sent again on a guess, so only there silence is `OutcomeUnknown`.
    """
    create = (request.method, request.path) == ("POST", "/market/orders")
    vague: type[VenueError] = OutcomeUnknown if create else RetryLater
    if isinstance(answer, NoResponse):
        return (vague if answer.sent else RetryLater)(answer.reason)
    status = answer.status
    if 200 <= status < 300:
        return None
    codes = error_codes(answer.body)
    kind = _by_codes(codes, status, vague) if codes is not None else _by_status(status, vague)
    return kind(f"{request.path}: {_told(status, codes, answer.body)}", status, codes or (), _again_s(answer))


def _by_codes(codes: tuple[str, ...], status: int, vague: type[VenueError]) -> type[VenueError]:
    if status == 429:
        return vague
    kinds = {_by_code(code, status, vague) for code in codes}
    found = next((kind for kind in _GRAVEST if kind in kinds), vague)
    return RetryLater if found is OutcomeUnknown and vague is RetryLater else found


def _by_code(code: str, status: int, vague: type[VenueError]) -> type[VenueError]:
    if code in _BY_CODE:
        return _BY_CODE[code]
    for beginning, kind in _BY_BEGINNING:
        if code.startswith(beginning):
            return kind
    # Unknown words: 401 and 403 with JSON are permanent, a refused create with a word that we do not know proves
    # nothing.
    return StopTrading if status in {401, 403} else _by_status(status, vague)


def _by_status(status: int, vague: type[VenueError]) -> type[VenueError]:
    if status == 401:
        return StopTrading
    if status in {400, 404, 405}:
        return FixRequest
    if status == 422:
        return OutcomeUnknown if vague is OutcomeUnknown else FixRequest
    return vague  # 3xx, an empty 403, 429, 471, 5xx


def _told(status: int, codes: tuple[str, ...] | None, body: bytes) -> str:
    if codes is None:
        said = body[:80].decode(errors="replace").strip()
        return f"answered with {status} {said}".rstrip()
    reasons = [_REASONS[code] for code in codes if code in _REASONS]
    words = f"{status} {' '.join(codes)}"
    return f"{'; '.join(reasons)} ({words})" if reasons else f"answered with {words}"


def _again_s(answer: Response) -> int | None:
    text = answer.headers.get("retry-after", "")
    return min(int(text), AGAIN_S_MAX) if text.isascii() and text.isdigit() and len(text) < 10 else None
