import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner.altmarkets.rest import Request, Response
from runner.edge.clock import Clock
from runner.edge.rest import Rest
from runner.model.credentials import Credentials

RUNNER = [sys.executable, "-m", "runner.cli.main", "sandbox"]


@contextmanager
def sandbox(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*RUNNER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def ask(facts: dict[str, Any], request: Request) -> Response:
    async def main() -> Response:
        key = Credentials(facts["api_key"], facts["secret_key"])
        async with Rest(facts["rest_url"], key, Clock()) as rest:
            answer = await rest.send(request)
        assert isinstance(answer, Response), answer
        return answer

    return anyio.run(main)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_says_where_it_is_serves_and_ends_cleanly(number: signal.Signals) -> None:
    with sandbox("--seed", "7", "--json") as process:
        facts = json.loads(first_line(process))
        assert list(facts) == ["rest_url", "stream_url", "api_key", "secret_key", "markets"]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/v2/peatio", facts["rest_url"])
        assert re.fullmatch(r"ws://127\.0\.0\.1:\d+/api/v2/ranger", facts["stream_url"])
        assert "ROGER-BTC" in facts["markets"]
        version = ask(facts, Request("GET", "/public/version", private=False))
        assert b"sandbox" in version.body
        balances = ask(facts, Request("GET", "/account/balances"))
        assert balances.status == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_same_seed_has_the_same_keys_and_people_are_told_what_to_write() -> None:
    with sandbox("--seed", "7", "--json") as first, sandbox("--seed", "7") as second:
        facts = json.loads(first_line(first))
        assert second.stdout is not None
        assert "ROGER-BTC" in first_line(second)
        second.terminate()
        text = second.stdout.read()
    assert f"export ALTMARKETS_API_KEY={facts['api_key']}" in text
    assert f"export ALTMARKETS_SECRET_KEY={facts['secret_key']}" in text
    assert re.search(r"rest_url: http://127\.0\.0\.1:\d+/api/v2/peatio\n", text)
    assert re.search(r"stream_url: ws://127\.0\.0\.1:\d+/api/v2/ranger\n", text)


def test_a_port_in_use_is_one_sentence_and_exit_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*RUNNER, "--port", str(port)], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert f"port {port}" in done.stderr
    assert "ddress already in use" in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.org", "::", ""])
def test_only_a_loopback_address_is_served(host: str) -> None:
    done = subprocess.run([*RUNNER, "--host", host], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "not a loopback address" in done.stderr


def test_accounts_kinds_and_faults_from_the_start(tmp_path: Path) -> None:
    storm = tmp_path / "storm.yml"
    storm.write_text("- {at: 1h, name: engine_restart}\n- {name: extra_fields}\n")
    arguments = (
        "--account",
        "alice",
        "--kind",
        "2.5",
        "--fault",
        "deposit=7 USDT,account=alice",
        "--faults",
        str(storm),
    )
    with sandbox("--seed", "7", "--json", *arguments) as process:
        facts = json.loads(first_line(process))
        alice = facts["accounts"]["alice"]
        assert alice.keys() == {"api_key", "secret_key"}
        assert alice["api_key"] != facts["api_key"]
        balances = json.loads(ask(facts | alice, Request("GET", "/account/balances")).body)
        assert {row["currency"]: row["balance"] for row in balances}["usdt"] == "20007.0"
        assert "x_meta" in balances[0]
        assert b'"2.5.' in ask(facts, Request("GET", "/public/version", private=False)).body


def test_all_that_can_go_wrong_is_listed() -> None:
    done = subprocess.run([*RUNNER, "--list-faults", "--json"], capture_output=True, text=True, timeout=20, check=True)
    table = json.loads(done.stdout)
    assert {"name", "value", "says"} == table[0].keys()
    text = subprocess.run([*RUNNER, "--list-faults"], capture_output=True, text=True, timeout=20, check=True).stdout
    assert all(one["name"] in text and one["says"] in text for one in table)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--fault", "earthquake"), 2, "there is no fault 'earthquake'"),
        (("--fault", "auth_delay=6"), 2, "auth_delay=6"),
        (("--fault", "two_trades"), 2, "no open order"),
        (("--account", "trader"), 2, "'trader' is not free"),
        (("--account", "a", "--account", "a"), 2, "each name once"),
        (("--kind", "9.9"), 2, "2.5"),
        (("--faults", "/nowhere.yml"), 2, "cannot read /nowhere.yml"),
        (("--faults", "-"), 3, "<stdin>:1:1: a file of faults is a list"),
    ],
)
def test_what_cannot_go_wrong_is_said(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = subprocess.run(
        [*RUNNER, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
