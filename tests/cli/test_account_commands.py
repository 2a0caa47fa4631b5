"""The commands around the account, against a `runner sandbox` in a process of its own."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from loopback.process import runner_run, until

from benchmarks.peer import Account, Opened, sandbox
from runner.cli.main import group
from runner.model.ids import account_fingerprint, account_tag, client_id
from runner.run.counter import journal_ids

STRATEGY = """\
version: 1
name: hand
connector: {connector}
markets: [ROGER-BTC]
strategy: {{use: pure_market_making, params: {{bid_spread: 1%, ask_spread: 1%, order_amount: 100 ROGER}}}}
"""


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    with sandbox() as (found, _):
        yield found


class Desk:
    """A user with folders of his own, a strategy file for the sandbox, and its keys in the environment."""

    def __init__(self, folder: Path, opened: Opened) -> None:
        self.opened = opened
        self.file = str(folder / "hand.yml")
        self.text = STRATEGY.format(connector=opened.connector)
        Path(self.file).write_text(self.text)
        self.folder = folder
        folders = {name: str(folder) for name in ("XDG_CONFIG_HOME", "RUNNER_STATE_DIR")}
        self.environment: dict[str, str | None] = {**folders, "RUNNER_CREDENTIAL_STORE": "file", **opened.environment}
        origin = opened.rest_url.partition("/api/")[0]
        self.tag = account_tag(account_fingerprint(origin, opened.api_key), "hand")

    def run(self, *words: str, stdin: str = "", **environment: str | None) -> Result:
        """A fresh budget for each command: together they would have to wait for theirs."""
        shutil.rmtree(self.folder / "budget", ignore_errors=True)
        return CliRunner().invoke(group, words, input=stdin, env=self.environment | environment)

    def told(self, *words: str) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.stderr
        assert result.stderr == ""
        return json.loads(result.stdout)

    def place(self, name: str | None, price: str = "0.00001") -> int:
        fields = {"market": "rogerbtc", "side": "buy", "volume": "10", "ord_type": "limit", "price": price}
        with Account(self.opened) as account:
            return int(account.create(**fields, **({"client_id": name} if name else {}))["id"])

    def own_name(self, generation: int) -> str:
        return client_id(self.tag, 1, "bid-1", generation)

    def states(self, *ids: int) -> list[str]:
        with Account(self.opened) as account:
            return [account.order(order_id)["state"] for order_id in ids]


@pytest.fixture
def desk(tmp_path: Path, opened: Opened) -> Desk:
    return Desk(tmp_path, opened)


# Looking --------------------------------------------------------------------------------------------------


def test_markets_need_no_key_and_say_the_rules(desk: Desk) -> None:
    markets = desk.told("markets", "--rest-url", desk.opened.rest_url)
    (roger,) = (row for row in markets if row["market"] == "ROGER-BTC")
    assert (roger["tick_size"], roger["taker_fee"], roger["enabled"]) == ("0.00000001", "0.0025", True)
    text = desk.run("markets", desk.file, ALTMARKETS_API_KEY=None, ALTMARKETS_SECRET_KEY=None)
    assert text.exit_code == 0
    assert text.stdout.splitlines()[0].split()[:3] == ["market", "tick", "size"]
    assert len(text.stdout.splitlines()) == len(markets) + 1
    assert "\x1b" not in text.stdout


def test_balance_is_what_the_exchange_says(desk: Desk) -> None:
    with Account(desk.opened) as account:
        wanted = {currency: balance.total for currency, balance in account.balances().items() if balance.total}
    rows = desk.told("balance", desk.file)
    assert {row["currency"]: float(row["total"]) for row in rows} == {
        name: float(sum_) for name, sum_ in wanted.items()
    }
    assert "in orders" in desk.run("balance", desk.file).stdout


def test_candles_come_as_table_csv_and_json(desk: Desk) -> None:
    venue = ("--rest-url", desk.opened.rest_url, "--since", "10m", "--period", "1m")
    rows = desk.told("candles", "ROGER-BTC", *venue)
    assert rows
    assert list(rows[0]) == ["time", "open", "high", "low", "close", "volume"]
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    text = desk.run("candles", "rogerbtc", *venue, "--csv").stdout
    lines = list(csv.DictReader(io.StringIO(text)))
    # The first may be the minute that goes on: what it opened with stays, the rest of it moves with every trade.
    assert list(lines[0]) == list(rows[0])
    assert (lines[0]["time"], lines[0]["open"]) == (rows[0]["time"], rows[0]["open"])
    assert "time (UTC)" in desk.run("candles", "ROGER/BTC", *venue).stdout


def test_public_trades_need_no_key(desk: Desk) -> None:
    rows = desk.told("trades", "--public", "--market", "ROGER-BTC", "--rest-url", desk.opened.rest_url)
    assert rows
    assert rows[0]["taker_side"] in {"buy", "sell"}


def test_own_trades_have_fees(desk: Desk) -> None:
    taker = desk.place(desk.own_name(90), price="0.001")  # far above the market
    until(lambda: desk.states(taker) == ["done"])
    rows = desk.told("trades", desk.file, "--since", "1h", "--market", "ROGER-BTC")
    assert {row["fee_currency"] for row in rows} == {"ROGER"}
    assert {row["order_id"] for row in rows} == {taker}
    assert all(float(row["fee"]) > 0 for row in rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("markets",), "name the venue"),
        (("candles", "NO-SUCH", "--since", "1h"), "has no market NO-SUCH"),
        (("candles", "ROGER-BTC", "--since", "yesterday"), "is not a time"),
        (("candles", "ROGER-BTC", "--since", "2030-01-01"), "there is nothing between"),
        (("orders", "--mine"), "--mine needs the strategy FILE"),
        (("trades", "--public"), "--public needs --market"),
        (("cancel",), "say what to cancel"),
        (("cancel", "--mine", "5"), "say what to cancel"),
        (("cancel", "--mine"), "--mine needs the strategy FILE"),
    ],
)
def test_a_wrong_command_line_is_a_sentence_and_exit_2(desk: Desk, words: tuple[str, ...], said: str) -> None:
    venue = () if words == ("markets",) else ("--rest-url", desk.opened.rest_url)
    result = desk.run(*words, *venue)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_an_exchange_that_is_not_there_is_exit_5(desk: Desk) -> None:
    result = desk.run("candles", "ROGER-BTC", "--rest-url", "http://127.0.0.1:9/api/v2/peatio")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "Connection refused" in result.stderr


def test_no_key_is_exit_4_and_says_what_to_do(desk: Desk) -> None:
    result = desk.run("balance", desk.file, ALTMARKETS_API_KEY=None, ALTMARKETS_SECRET_KEY=None)
    assert result.exit_code == 4
    assert "runner connect altmarkets --rest-url" in result.stderr


# Cancelling -----------------------------------------------------------------------------------------------


def test_only_our_own_orders_are_cancelled_unless_said_otherwise(desk: Desk) -> None:
    mine, also_mine = desk.place(desk.own_name(1)), desk.place(desk.own_name(2))
    stranger, neighbour = desk.place(None), desk.place("RABCDEF00001-BID-1-1")
    listed = {row["id"]: row["mine"] for row in desk.told("orders", desk.file)}
    assert {order: listed[order] for order in (mine, also_mine, stranger, neighbour)} == {
        mine: True,
        also_mine: True,
        stranger: False,
        neighbour: False,
    }
    refused = desk.run("cancel", str(stranger), desk.file)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "was not placed by strategy hand" in refused.stderr
    assert desk.told("cancel", str(mine), desk.file)["closed"] == 1
    assert desk.states(mine, also_mine, stranger) == ["cancel", "wait", "wait"]
    done = desk.told("cancel", "--mine", desk.file)
    assert [row["id"] for row in done["orders"]] == [also_mine]
    assert desk.states(also_mine, stranger, neighbour) == ["cancel", "wait", "wait"]
    unasked = desk.run("cancel", "--all-account", desk.file)
    assert unasked.exit_code == 2
    assert "needs --yes" in unasked.stderr
    assert desk.states(stranger, neighbour) == ["wait", "wait"]


def test_the_whole_account_by_name_only(desk: Desk) -> None:
    orders = [desk.place(None), desk.place(desk.own_name(3))]
    done = desk.told("cancel", "--all-account", "--yes", "--rest-url", desk.opened.rest_url)
    assert done["left"] == 0
    assert set(orders) <= {row["id"] for row in done["orders"]}
    assert desk.states(*orders) == ["cancel", "cancel"]
    assert desk.told("orders", desk.file) == []
    closed = desk.told("orders", desk.file, "--all", "--mine", "--since", "1h")
    assert orders[1] in {row["id"] for row in closed}
    assert all(row["mine"] for row in closed)


@pytest.mark.slow
def test_where_names_are_not_told_the_journal_knows_our_orders(desk: Desk, tmp_path: Path) -> None:
    # The orders that were placed by hand before carry this strategy's name: another instance, unless it is taken over.
    done = runner_run(desk.file, "--for", "2s", "--json", "--take-over", state=tmp_path, opened=desk.opened)
    assert done.returncode == 0, done.stderr
    placed = {row["id"] for row in desk.told("orders", desk.file, "--all", "--mine", "--since", "1h")}
    (journal,) = tmp_path.rglob("journal.sqlite3")
    known = journal_ids(journal)
    assert known
    assert known <= placed
    assert journal_ids(tmp_path / "none.sqlite3") == frozenset()
    journal.write_bytes(b"damaged" * 100)
    assert journal_ids(journal) == frozenset()


def test_an_order_that_is_not_there(desk: Desk) -> None:
    result = desk.run("cancel", "999999999", desk.file)
    assert result.exit_code == 2
    assert "no order 999999999" in result.stderr


# Connecting -----------------------------------------------------------------------------------------------

NOWHERE: dict[str, str | None] = {"ALTMARKETS_API_KEY": None, "ALTMARKETS_SECRET_KEY": None}


@pytest.mark.slow
def test_connect_stores_a_key_that_a_run_finds(desk: Desk) -> None:
    with_key = f"{desk.opened.api_key}\n{desk.opened.secret_key}\n"
    words = ("connect", "altmarkets", "--name", "main", "--rest-url", desk.opened.rest_url)
    done = desk.run(*words, stdin=with_key, RUNNER_PASSPHRASE="sesame", **NOWHERE)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("You are now connected to altmarkets\n")
    assert desk.opened.secret_key not in done.stdout + done.stderr
    again = desk.run(*words, "--json", stdin=with_key, RUNNER_PASSPHRASE="sesame", **NOWHERE)
    assert json.loads(again.stdout)["rotated"] is True
    (listed,) = json.loads(desk.run("connect", "--list", "--json").stdout)
    assert (listed["name"], listed["rest_url"], listed["store"]) == ("main", desk.opened.rest_url, "file")
    text = desk.text.replace("{type: altmarkets,", "{type: altmarkets, credentials: main,")
    Path(desk.file).write_text(text)
    found = desk.run("balance", desk.file, "--json", RUNNER_PASSPHRASE="sesame", **NOWHERE)
    assert found.exit_code == 0, found.stderr
    closed = desk.run("balance", desk.file, **NOWHERE)
    assert closed.exit_code == 4
    assert "RUNNER_PASSPHRASE" in closed.stderr
    assert desk.run("connect", "--remove", "--name", "main").exit_code == 0
    assert desk.run("connect", "--list").stdout == "no stored keys\n"
    assert desk.run("connect", "--remove", "--name", "main").exit_code == 2


@pytest.mark.parametrize(
    ("key", "secret", "said"),
    [
        ("ffffffffffffffff", "right", "does not know this API key (401 authz.unexistent_apikey)"),
        ("right", "0" * 32, "the secret does not belong to this API key (401 authz.invalid_signature)"),
    ],
)
def test_a_wrong_key_is_told_exactly_and_not_stored(desk: Desk, key: str, secret: str, said: str) -> None:
    pair = (desk.opened.api_key if key == "right" else key, desk.opened.secret_key if secret == "right" else secret)
    words = ("connect", "altmarkets", "--rest-url", desk.opened.rest_url)
    done = desk.run(*words, stdin="\n".join(pair), RUNNER_PASSPHRASE="sesame", **NOWHERE)
    assert (done.exit_code, done.stdout) == (4, "")
    assert said in done.stderr
    assert pair[1] not in done.stderr
    assert desk.run("connect", "--list").stdout == "no stored keys\n"


def test_paper_needs_no_key_and_the_old_hosts_are_gone(desk: Desk) -> None:
    paper = desk.run("connect", "altmarkets_paper_trade")
    assert (paper.exit_code, "needs no key" in paper.stdout) == (0, True)
    gone = desk.run("connect", "altmarkets")
    assert (gone.exit_code, "are gone" in gone.stderr) == (5, True)
    nothing = desk.run("connect", "altmarkets", "--rest-url", desk.opened.rest_url, **NOWHERE)
    assert nothing.exit_code == 4


# The doctor -----------------------------------------------------------------------------------------------

CHECKS = [
    "connection",
    "REST",
    "clock",
    "venue",
    "markets",
    "fees",
    "public stream",
    "key",
    "private stream",
    "client_id",
    "rate limit",
    "state folder",
    "lock",
]


def test_the_doctor_finds_nothing_wrong_with_a_sandbox(desk: Desk) -> None:
    facts = desk.told("doctor", desk.file)
    assert (facts["ok"], facts["exit_code"]) == (True, 0)
    assert [check["name"] for check in facts["checks"]] == CHECKS
    assert {check["status"] for check in facts["checks"]} <= {"ok", "warn"}


def test_the_doctor_names_what_is_wrong_and_goes_on(desk: Desk) -> None:
    Path(desk.file).write_text(desk.text.replace("[ROGER-BTC]", "[RODGER-BTC]").replace("100 ROGER", "100 RODGER"))
    done = desk.run("doctor", desk.file, "--json", ALTMARKETS_SECRET_KEY="0" * 32)
    facts = json.loads(done.stdout)
    failed = {check["name"]: check for check in facts["checks"] if check["status"] == "fail"}
    assert set(failed) == {"markets", "key", "private stream", "client_id"}
    assert failed["markets"]["advice"] == "did you mean ROGER-BTC?"
    assert "authz.invalid_signature" in failed["key"]["found"]
    assert done.exit_code == facts["exit_code"] == 3


def test_the_doctor_without_a_key_or_a_venue(desk: Desk) -> None:
    done = desk.run("doctor", desk.file, **NOWHERE)
    assert done.exit_code == 4
    assert done.stdout.startswith("fail  key")
    assert "ok    public stream" in done.stdout
    port = desk.opened.rest_url.split(":")[2].split("/")[0]
    Path(desk.file).write_text(desk.text.replace(f":{port}/", ":9/"))
    gone = desk.run("doctor", desk.file)
    assert gone.exit_code == 5
    assert "Connection refused" in gone.stdout


def test_every_command_has_an_example_in_its_help(desk: Desk) -> None:
    for name in ("markets", "balance", "orders", "cancel", "candles", "trades", "connect", "doctor"):
        told = desk.run(name, "--help").stdout
        assert f"runner {name}" in told.partition("Example:")[2]
