"""The gateway's checks, in the order of wire reference 2.3."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from venue_client import BASE, RANGER, START, Client

from runner.altmarkets.server import Reply, Session
from runner.simulation.exchange import MILLISECOND

NOW_MS = START // MILLISECOND


def outcome(
    client: Client, headers: dict[str, str], method: str = "GET", path: str = "/market/orders"
) -> tuple[int, str]:
    reply = client.request(method, path, headers=headers)
    answer = json.loads(reply.body)
    return reply.status, "" if reply.status in {200, 201} else answer["errors"][0]


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("GET", "authz.invalid_session"),
        ("POST", "authz.missing_csrf_token"),
        ("PUT", "authz.missing_csrf_token"),
        ("DELETE", "authz.missing_csrf_token"),
    ],
)
def test_unsigned(method: str, code: str) -> None:
    assert outcome(Client(), {}, method) == (401, code)


@pytest.mark.parametrize("name", ["x-auth-apikey", "x-auth-nonce", "x-auth-signature"])
@pytest.mark.parametrize("blank", [None, "", "  "])
def test_half_signed(name: str, blank: str | None) -> None:
    client = Client()
    headers = client.signed()
    if blank is None:
        del headers[name]
    else:
        headers[name] = blank
    assert outcome(client, headers) == (422, "authz.invalid_api_key_headers")


@pytest.mark.parametrize("nonce", ["soon", "-5", "0", "1.7e12", f"{NOW_MS}.0", "١٢٣", "9" * 30])
def test_a_nonce_that_is_no_time(nonce: str) -> None:
    client = Client()
    assert outcome(client, client.signed(nonce=nonce)) == (401, "authz.nonce_not_valid_timestamp")


@given(st.integers(-5010, 5010) | st.sampled_from([-5000, -4999, 4999, 5000]))
def test_the_window_is_five_seconds_on_either_side(away: int) -> None:
    client = Client()
    expected = (200, "") if abs(away) < 5000 else (401, "authz.nonce_expired")
    assert outcome(client, client.signed(nonce=str(NOW_MS + away))) == expected


def test_a_nonce_may_be_used_again() -> None:
    client = Client()
    headers = client.signed()
    client.after(4999)
    assert [outcome(client, headers)[0] for _ in range(3)] == [200] * 3
    client.after(1)
    assert outcome(client, headers) == (401, "authz.nonce_expired")


def test_the_signature_is_compared_to_the_letter() -> None:
    client = Client()
    right = client.signed()["x-auth-signature"]
    for wrong in (right.upper(), right[:-1], right + "0", "0" * 64, "ä" * 64):
        assert outcome(client, client.signed(**{"x-auth-signature": wrong})) == (401, "authz.invalid_signature")


def test_the_earlier_check_wins() -> None:
    client = Client()
    bad = {"x-auth-apikey": "nobody", "x-auth-nonce": "1", "x-auth-signature": "no"}
    for fixed, code in (
        ({}, "authz.unexistent_apikey"),
        ({"x-auth-apikey": client.signed()["x-auth-apikey"]}, "authz.nonce_expired"),
        ({"x-auth-nonce": "x"}, "authz.nonce_not_valid_timestamp"),
        ({"x-auth-nonce": str(NOW_MS)}, "authz.invalid_signature"),
    ):
        bad |= fixed
        assert outcome(client, bad) == (401, code)


@pytest.mark.parametrize(
    ("key", "owner", "code"),
    [
        ({"active": False}, {}, "authz.apikey_not_active"),
        ({}, {"active": False}, "authz.invalid_session"),
        ({}, {"two_factor": False}, "authz.disabled_2fa"),
        ({}, {"verbs": ()}, "authz.invalid_permission"),
    ],
)
def test_standing(key: dict, owner: dict, code: str) -> None:
    client = Client()
    access = client.keys[client.me].access
    client.exchange.keys[access] = replace(client.exchange.keys[access], **key)
    client.exchange.members[client.me] = replace(client.exchange.members[client.me], **owner)
    assert outcome(client, client.signed()) == (401, code)


def test_a_role_may_be_allowed_to_read_only() -> None:
    client = Client()
    client.exchange.members[client.me] = replace(client.exchange.members[client.me], verbs=("GET",))
    assert outcome(client, client.signed())[0] == 200
    assert outcome(client, client.signed(), "POST") == (401, "authz.invalid_permission")


@pytest.mark.parametrize(
    ("level", "path", "code"),
    [
        (1, "/market/orders", "market.trade.not_permitted"),
        (1, "/market/trades", "market.trade.not_permitted"),
        (2, "/account/withdraws", "account.withdraw.not_permitted"),
        (0, "/account/deposits", "account.deposit.not_permitted"),
        (2, "/market/orders", ""),
        (1, "/account/deposits", ""),
        (0, "/account/balances", ""),
    ],
)
def test_levels(level: int, path: str, code: str) -> None:
    client = Client()
    client.exchange.members[client.me] = replace(client.exchange.members[client.me], level=level)
    assert outcome(client, client.signed(), path=path) == (403 if code else 200, code)


def test_what_needs_no_signature_does_not_look_at_one() -> None:
    client = Client()
    assert outcome(client, {"x-auth-apikey": "half"}, path="/public/timestamp") == (200, "")


def test_signing_comes_before_everything_else_on_private_paths() -> None:
    client = Client()
    assert outcome(client, {}, path="/market/nonsense") == (401, "authz.invalid_session")
    assert outcome(client, {}, path="/management/orders") == (401, "authz.permission_denied")
    assert client.request("GET", "/market/nonsense").status == 404


def test_the_private_stream_is_signed_at_the_handshake() -> None:
    client = Client()
    target = f"{RANGER}/private?stream=order"
    refused = client.server.upgrade(target, {}, client.now)
    assert isinstance(refused, Reply)
    assert (refused.status, json.loads(refused.body)) == (401, {"errors": ["authz.invalid_session"]})
    session = client.server.upgrade(target, client.signed(), client.now)
    assert isinstance(session, Session)
    client.after(60_000)  # and is not checked again
    client.server.receive(session, "ping", client.now)
    assert session.outgoing[-1] == "pong"


def test_a_foreign_origin_is_turned_away() -> None:
    client = Client()
    for origin, host, welcome in (("https://evil", "here:80", False), ("http://here:80", "here:80", True)):
        answer = client.server.upgrade(f"{RANGER}/public", {"origin": origin, "host": host}, client.now)
        assert isinstance(answer, Session) is welcome
        assert welcome or (isinstance(answer, Reply) and answer.status == 403)


def test_there_are_two_streams() -> None:
    client = Client()
    for path in (f"{RANGER}/other", f"{RANGER}", f"{BASE}/public", "/"):
        answer = client.server.upgrade(path, {}, client.now)
        assert isinstance(answer, Reply)
        assert answer.status == 404
