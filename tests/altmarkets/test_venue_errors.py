import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.altmarkets.errors import (
    FixRequest,
    OutcomeUnknown,
    RetryLater,
    StopTrading,
    VenueError,
    WaitForBalance,
    problem,
)
from runner.altmarkets.rest import NoResponse, Request, Response

CREATE = Request("POST", "/market/orders", body=b"{}")
LOOK = Request("GET", "/market/orders")
CANCEL = Request("POST", "/market/orders/1/cancel")


def answer(status: int, body: bytes | str = b"", **headers: str) -> Response:
    return Response(status, headers, body.encode() if isinstance(body, str) else body)


def refusal(status: int, *codes: str) -> Response:
    quoted = ",".join(f'"{code}"' for code in codes)
    return answer(status, f'{{"errors":[{quoted}]}}')


# Every row of wire reference 7.2 that has a code: what a look-up and what a create makes of it.
TABLE = [
    (422, "market.account.insufficient_balance", WaitForBalance, WaitForBalance),
    (422, "market.order.invalid_volume_or_price", FixRequest, FixRequest),
    (422, "market.order.insufficient_market_liquidity", RetryLater, RetryLater),
    (422, "market.order.market_order_price", FixRequest, FixRequest),
    (422, "market.order.create_error", RetryLater, OutcomeUnknown),
    (422, "market.order.cancel_error", RetryLater, RetryLater),
    (422, "market.order.invaild_id_or_uuid", FixRequest, FixRequest),
    (404, "record.not_found", FixRequest, FixRequest),
    (422, "market.market.doesnt_exist_or_not_enabled", FixRequest, FixRequest),
    (422, "market.market.doesnt_exist", FixRequest, FixRequest),
    (422, "public.market.doesnt_exist", FixRequest, FixRequest),
    (422, "market.order.missing_price", FixRequest, FixRequest),
    (422, "market.trade.invalid_limit", FixRequest, FixRequest),
    (422, "admin.pagination.invalid_limit", FixRequest, FixRequest),
    (422, "pagination.invalid_limit", FixRequest, FixRequest),
    (422, "account.currency.doesnt_exist", FixRequest, FixRequest),
    (403, "market.trade.not_permitted", StopTrading, StopTrading),
    (403, "user.ability.not_permitted", StopTrading, StopTrading),
    (401, "authz.nonce_expired", RetryLater, RetryLater),
    *(
        (401, f"authz.{word}", StopTrading, StopTrading)
        for word in (
            "missing_csrf_token",
            "nonce_not_valid_timestamp",
            "invalid_signature",
            "unexistent_apikey",
            "apikey_not_active",
            "disabled_2fa",
            "invalid_permission",
            "permission_denied",
            "invalid_session",
        )
    ),
    (422, "authz.invalid_api_key_headers", StopTrading, StopTrading),
    (401, "jwt.decode_and_verify", RetryLater, RetryLater),
    (403, "authz.restrict.blacklist", StopTrading, StopTrading),
    (471, "authz.restrict.maintenance", RetryLater, RetryLater),
    (400, "server.method.invalid_message_body", FixRequest, FixRequest),
    (405, "server.method_not_allowed", FixRequest, FixRequest),
    (500, "server.internal_error", RetryLater, OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "code", "look", "create"), TABLE)
def test_every_code_of_the_table_says_what_to_do(
    status: int, code: str, look: type[VenueError], create: type[VenueError]
) -> None:
    for request, wanted in ((LOOK, look), (CANCEL, look), (CREATE, create)):
        error = problem(request, refusal(status, code))
        assert type(error) is wanted
        assert error.codes == (code,)
        assert code in str(error)


@pytest.mark.parametrize(
    ("reply", "look", "create"),
    [
        (answer(403), RetryLater, OutcomeUnknown),  # the authorisation service timed out: transient
        (answer(429, "Retry later"), RetryLater, OutcomeUnknown),
        (answer(502, "<html>bad gateway</html>"), RetryLater, OutcomeUnknown),
        (answer(503, "upstream connect error or disconnect/reset before headers"), RetryLater, OutcomeUnknown),
        (answer(504), RetryLater, OutcomeUnknown),
        (answer(302), RetryLater, OutcomeUnknown),
        (answer(404, "404 Not Found"), FixRequest, FixRequest),
        (NoResponse(True, "no complete answer within 10 s"), RetryLater, OutcomeUnknown),
        (NoResponse(False, "cannot connect"), RetryLater, RetryLater),
        (answer(405, '{"errors":"server.method_not_allowed"}'), FixRequest, FixRequest),
    ],
)
def test_silence_and_pages_of_proxies(
    reply: Response | NoResponse, look: type[VenueError], create: type[VenueError]
) -> None:
    assert type(problem(LOOK, reply)) is look
    assert type(problem(CREATE, reply)) is create


def test_unknown_codes_are_kept_and_prove_nothing_about_a_create() -> None:
    error = problem(CREATE, refusal(422, "brand.new_word"))
    assert type(error) is OutcomeUnknown
    assert error.codes == ("brand.new_word",)
    assert type(problem(CREATE, refusal(401, "brand.new_word"))) is StopTrading


def test_of_several_codes_the_gravest_decides() -> None:
    codes = ("market.order.invalid_volume_or_price", "market.account.insufficient_balance")
    assert type(problem(CREATE, refusal(422, *codes))) is FixRequest
    assert type(problem(CREATE, refusal(422, "market.order.create_error", *codes))) is OutcomeUnknown


def test_the_pause_that_was_asked_for_is_told_within_reason() -> None:
    told = [problem(LOOK, answer(429, b"", **{"retry-after": text})) for text in ("7", "999999", "soon", "-1", "")]
    assert [error and error.again_s for error in told] == [7, 3600, None, None, None]


def test_success_is_no_problem() -> None:
    assert problem(CREATE, answer(201, b"not even JSON")) is None


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=60) | st.text(max_size=60).map(str.encode),
    request=st.sampled_from([CREATE, LOOK, CANCEL]),
)
def test_no_body_whatever_raises(status: int, body: bytes, request: Request) -> None:
    error = problem(request, answer(status, body))
    assert (error is None) == (200 <= status < 300)
    if request is CREATE and status >= 500:
        assert not isinstance(error, RetryLater), "a create is not sent again on a guess"
