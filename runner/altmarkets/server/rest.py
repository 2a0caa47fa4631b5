"""The way of a request: gateway, signature, route, level, parameters, endpoint. Source: wire reference 1, 2.3, 7."""

from collections.abc import Callable, Mapping

from runner.altmarkets.server import private, public
from runner.altmarkets.server.answers import TEXT, Answer, Ask, Profile, Refused
from runner.altmarkets.server.barong import Credential, Denied, authorise
from runner.altmarkets.server.parameters import NotReadable, read_parameters
from runner.simulation.admission import OrderRefused
from runner.simulation.exchange import MILLISECOND, Exchange

REST_BASE = "/api/v2/peatio"

Endpoint = Callable[[Ask], Answer]

# The first that fits is taken: names before stars.
ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "public/timestamp", public.timestamp),
    ("GET", "public/version", public.version),
    ("GET", "public/health/alive", public.health),
    ("GET", "public/health/ready", public.health),
    ("GET", "public/member-levels", public.member_levels),
    ("GET", "public/markets", public.markets),
    ("GET", "public/markets/tickers", public.tickers),
    ("GET", "public/markets/*/depth", public.depth),
    ("GET", "public/markets/*/order-book", public.order_book),
    ("GET", "public/markets/*/trades", public.trades),
    ("GET", "public/markets/*/tickers", public.ticker),
    ("GET", "public/markets/*/k-line", public.k_line),
    ("GET", "public/currencies", public.currencies),
    ("GET", "public/currencies/*", public.currency),
    ("GET", "public/trading_fees", public.trading_fees),
    ("GET", "market/orders", private.orders),
    ("POST", "market/orders", private.create),
    ("POST", "market/orders/cancel", private.cancel_all),
    ("GET", "market/orders/*", private.order),
    ("POST", "market/orders/*/cancel", private.cancel),
    ("GET", "market/trades", private.trades),
    ("GET", "account/balances", private.balances),
    ("GET", "account/balances/*", private.balance),
    ("GET", "account/deposits", private.deposits),
    ("GET", "account/withdraws", private.withdraws),
    ("GET", "account/transactions", private.transactions),
)

# Below these levels a member is refused. By the beginning of the path.
_LEVELS = (
    ("market/", public.TRADING_LEVEL, "market.trade.not_permitted"),
    ("account/deposits", public.DEPOSIT_LEVEL, "account.deposit.not_permitted"),
    ("account/withdraws", public.WITHDRAW_LEVEL, "account.withdraw.not_permitted"),
)


def answer(
    exchange: Exchange,
    profile: Profile,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    member: int | None = None,
) -> Answer:
    """Answer one request at the exchange's time. `target` is the raw path and query; header names are lower case.

    `member` is who signed it, where that was checked earlier.
    """
    path, _, query = target.partition("?")
    path = path.rstrip("/")
    if not path.startswith(f"{REST_BASE}/"):
        return not_found()
    try:
        return _admitted(exchange, profile, method, path.removeprefix(f"{REST_BASE}/"), query, headers, body, member)
    except Refused as refused:
        return refusal(refused.status, *refused.codes)
    except Denied as denied:
        return refusal(denied.status, denied.code)
    except OrderRefused as refused_order:
        return refusal(422, refused_order.code)


def sign_in(exchange: Exchange, method: str, headers: Mapping[str, str]) -> int:
    """The member who signed. Raises Denied."""

    def find(access: str) -> Credential | None:
        key = exchange.keys.get(access)
        if key is None:
            return None
        owner = exchange.members[key.member]
        return Credential(key.secret, key.member, key.active, owner.active, owner.two_factor, owner.verbs)

    return authorise(method, headers, find, exchange.time // MILLISECOND)


def refusal(status: int, *codes: str) -> Answer:
    return Answer({"errors": list(codes)}, status)


def not_found() -> Answer:
    return Answer("404 Not Found", 404, TEXT)


def _admitted(
    exchange: Exchange,
    profile: Profile,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    signer: int | None,
) -> Answer:
    if path.startswith("management"):
        raise Refused(401, "authz.permission_denied")
    verb = "GET" if method == "HEAD" else method
    member = signer or 0
    if signer is None and not path.startswith("public"):
        member = sign_in(exchange, verb, headers)
    fitting = [route for route in ROUTES if _fits(route[1], path)]
    if not fitting:
        return not_found()
    if verb not in {allowed for allowed, _, _ in fitting}:
        allowed = ", ".join(dict.fromkeys(route[0] for route in fitting))
        return Answer({"errors": "server.method_not_allowed"}, 405, {"Allow": allowed})
    _check_level(exchange, member, path)
    try:
        read = read_parameters(query, headers.get("content-type", ""), body)
    except NotReadable:
        return Answer({"errors": "server.method.invalid_message_body"}, 400)
    pattern, endpoint = next((pattern, endpoint) for allowed, pattern, endpoint in fitting if allowed == verb)
    return endpoint(Ask(exchange, profile, read, _variable(pattern, path), member))


def _check_level(exchange: Exchange, member: int, path: str) -> None:
    for beginning, level, code in _LEVELS:
        if member and path.startswith(beginning) and exchange.members[member].level < level:
            raise Refused(403, code)


def _fits(pattern: str, path: str) -> bool:
    parts, segments = pattern.split("/"), path.split("/")
    return len(parts) == len(segments) and all(
        part in {"*", segment} for part, segment in zip(parts, segments, strict=True)
    )


def _variable(pattern: str, path: str) -> str:
    parts = pattern.split("/")
    return path.split("/")[parts.index("*")] if "*" in parts else ""
