"""A file that is right becomes a RunSpec; no bytes whatever raise."""

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from config_files import GOOD, changed, problems, result, spec
from hypothesis import given
from hypothesis import strategies as st

from runner.config.read import read
from runner.config.spec import Altmarkets, Connector, Deployment, RunSpec, Sandbox
from runner.engine.parameters import build
from runner.model.paper import Latency, PaperModels
from runner.model.settings import Limits, QueueModel, Settings, TickPolicy
from runner.model.units import BaseAmount, Duration, Ratio

MINUTE = 60 * 10**9
MS = 10**6


def test_the_good_file_becomes_a_spec(folder: Path) -> None:
    found = spec(GOOD, folder)
    assert found.connector == Connector(Sandbox(), credentials="main")
    assert found.run_for == 55 * MINUTE
    assert found.text == GOOD
    assert found.settings == Settings(
        name="roger-maker",
        tag="",
        markets=("ROGER-BTC",),
        strategy="./spread.py:Spread",
        params={"half_spread": "40bps", "quantity": "1000 ROGER", "levels": 3},
        tick=TickPolicy(10**9, ("book", "fill"), 10**8),
        limits=Limits(
            max_position={"ROGER": Decimal(50000)},
            max_order_notional={"BTC": Decimal("0.01")},
            max_open_orders=20,
            max_book_age=15 * 10**9,
        ),
        on_stop="cancel",
        initial_position={},
        settle=30 * 10**9,
    )
    assert type(found.settings.tick.every) is int


PAPER_BLOCK = """\
  paper:
    balances: {BTC: 0.5, ROGER: 100000 ROGER}
    maker_fee: 20bps
    latency: {order: 40ms to 80ms, data: 5ms + 10ms}
    queue: power 2
    seed: 7
"""


@pytest.mark.parametrize("kind", ["altmarkets_paper", "altmarkets_paper_trade"])
def test_a_paper_account_is_read_with_its_models(folder: Path, kind: str) -> None:
    text = changed(("type: altmarkets", f"type: {kind}"), ("  credentials: main\n", PAPER_BLOCK))
    assert spec(text, folder).connector.paper == PaperModels(
        balances={"BTC": Decimal("0.5"), "ROGER": Decimal(100000)},
        maker_fee=Decimal("0.002"),
        order=Latency(40 * MS, 40 * MS, "uniform"),
        data=Latency(5 * MS, 10 * MS, "exponential"),
        queue=QueueModel("power", 2),
        seed=7,
    )


def test_a_paper_account_has_models_without_a_word(folder: Path) -> None:
    assert spec(changed(("type: altmarkets", "type: altmarkets_paper")), folder).connector.paper == PaperModels()
    assert spec(GOOD, folder).connector.paper is None


def test_the_strategy_is_built_with_its_parameters(folder: Path) -> None:
    strategy = spec(GOOD, folder).strategy
    assert strategy.half_spread == Ratio("40bps")  # type: ignore[attr-defined]
    assert strategy.half_spread.exact == Decimal("0.004")  # type: ignore[attr-defined]
    assert strategy.quantity == BaseAmount("1000 ROGER")  # type: ignore[attr-defined]
    assert list(strategy.slots()) == [f"{side}-{level}" for side in ("bid", "ask") for level in (1, 2, 3)]


def test_settings_survive_json_and_the_engine_builds_the_same_strategy(folder: Path) -> None:
    text = changed(
        ("levels: 3", "levels: 3\n    shape: 0.10\n    steps: [1%, 20bps]\n    eager: true\n    cash: 5 BTC")
    )
    found = spec(text, folder)
    assert found.settings.params["shape"] == "0.10"
    again = msgspec.json.decode(msgspec.json.encode(found.settings), type=Settings)
    assert again == found.settings
    assert build(found.strategy_type, again.params) == found.strategy


def test_only_what_is_needed_has_to_be_written(folder: Path) -> None:
    text = """
version: 1
name: a
connector: {type: altmarkets}
markets: [ROGER-BTC, BTC-USDT]
strategy:
  use: ./spread.py:Spread
  params: {half_spread: 0, quantity: 1 BTC, pause: 0}
"""
    found = spec(text, folder)
    assert found.connector == Connector(Altmarkets())
    assert found.run_for is None
    assert found.settings.limits == Limits()
    assert found.settings.tick == TickPolicy()


def test_another_deployment_is_named_by_its_addresses(folder: Path) -> None:
    venue = "venue: {rest_url: 'http://127.0.0.1:9/api/v2/', stream_url: 'ws://127.0.0.1:9/ranger'}"
    found = spec(changed(("venue: sandbox", venue)), folder)
    assert found.connector.venue == Deployment("http://127.0.0.1:9/api/v2", "ws://127.0.0.1:9/ranger")


@pytest.mark.parametrize("url", ["http://user:secret@host/api", "http://host/api?key=1", "host/api/v2", "http://"])
def test_an_address_carries_no_key(url: str, folder: Path) -> None:
    venue = f"venue: {{rest_url: '{url}', stream_url: 'ws://127.0.0.1:9/ranger'}}"
    assert [item.path for item in problems(changed(("venue: sandbox", venue)), folder)] == ["connector.venue.rest_url"]


def test_amounts_under_a_currency_may_repeat_it(folder: Path) -> None:
    text = changed(
        ("{ROGER: 50000}", "{ROGER: 50000 ROGER}"),
        ("on_stop: cancel", "on_stop: leave, initial_position: {BTC: 0.5, ROGER: -10 ROGER}"),
    )
    settings = spec(text, folder).settings
    assert settings.limits.max_position == {"ROGER": Decimal(50000)}
    assert settings.initial_position == {"BTC": Decimal("0.5"), "ROGER": Decimal(-10)}
    assert settings.on_stop == "leave"


def test_markets_of_an_unknown_venue_are_taken_on_trust(folder: Path) -> None:
    text = changed(("venue: sandbox", "venue: altmarkets"), ("[ROGER-BTC]", "[ROGER-BTC, LTC-BTC]"))
    assert spec(text, folder).settings.markets == ("ROGER-BTC", "LTC-BTC")


def test_a_seed_is_for_the_sandbox(folder: Path) -> None:
    assert spec(changed(("credentials: main", "seed: 7")), folder).connector.seed == 7
    text = changed(("credentials: main", "seed: 7"), ("venue: sandbox", "venue: altmarkets"))
    assert [item.code for item in problems(text, folder)] == ["value.conflict"]


def test_a_duration_prints_as_it_would_be_written(folder: Path) -> None:
    text = changed(("{every: 1s, when: [book, fill]}", "{every: 1s, at_most_every: 90s}"))
    (found,) = problems(text, folder)
    assert found.message == f"1s is shorter than at_most_every, {Duration('90s')}"


@pytest.mark.parametrize("text", ["", "# only words\n", "---\n", "[]", "hello", "null"])
def test_a_file_without_keys_is_one_problem(text: str, folder: Path) -> None:
    (found,) = problems(text, folder)
    assert found.code in {"yaml.empty", "value.type", "value.empty"}
    assert (found.line, found.column) == (1, 1) or text == "---\n"


def test_a_problem_in_text_shows_the_line_and_a_caret(folder: Path) -> None:
    (found,) = problems(changed(("40bps", "40")), folder)
    assert str(found) == (
        f"{folder / 'roger.yml'}:11:18: `40` has no unit\n"
        "        half_spread: 40\n"
        "                     ^\n"
        "  write 40% or 40bps"
    )
    assert json.loads(json.dumps(found.facts())) == {
        "file": str(folder / "roger.yml"),
        "line": 11,
        "column": 18,
        "path": "strategy.params.half_spread",
        "code": "unit.wrong",
        "message": "`40` has no unit",
        "fix": "write 40% or 40bps",
    }


def test_a_long_line_is_shown_around_the_caret(folder: Path) -> None:
    text = changed(("{ROGER: 50000}", "{" + " " * 300 + "ROGE: 50000" + " " * 300 + "}"))
    (found,) = problems(text, folder)
    _, line, caret, _ = str(found).split("\n")
    assert len(line) < 120
    assert line[caret.index("^") :].startswith("ROGE:")


# No input raises ------------------------------------------------------------------------------------------


def check(text: str | bytes, folder: Path) -> None:
    found = result(text, folder)
    if isinstance(found, RunSpec):
        assert found.strategy.slots()
        return
    assert found
    for item in found:
        assert item.line >= 1
        assert item.column >= 1
        assert item.message
        assert item.fix
        assert str(item).replace("\n", "").replace("\t", "").isprintable()


@given(data=st.binary(max_size=80))
def test_no_bytes_raise(data: bytes) -> None:
    assert not isinstance(read(data, file="f.yml"), RunSpec)


@given(text=st.text(st.characters(), max_size=80))
def test_no_text_raises(text: str) -> None:
    assert not isinstance(read(text, file="f.yml"), RunSpec)


@given(data=st.data())
def test_no_change_of_a_good_file_raises(data: st.DataObject, folder: Path) -> None:
    """A part of it is replaced by another part, by punctuation, or by nothing."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 30)))
    first = data.draw(st.integers(0, len(GOOD)))
    other = GOOD[first : first + data.draw(st.integers(0, 25))]
    words = st.sampled_from(
        ["", " ", "\n", "- ", ": ", "{", "]", "&a ", "*a", "!x ", "'", '"', "#", "\t", "\x00", "0", "null", "-1"]
    )
    check(GOOD[:start] + data.draw(st.one_of(st.just(other), words)) + GOOD[end:], folder)


SCALARS = st.sampled_from(
    [
        "1",
        "1.0",
        "true",
        "null",
        "''",
        "40bps",
        "1 ROGER",
        "0.1 BTC",
        "5s",
        "[]",
        "{}",
        "[1]",
        "{a: b}",
        "x",
        "-3",
        "''",
    ]
)


@given(keys=st.lists(st.tuples(st.integers(0, GOOD.count("\n") - 1), SCALARS), min_size=1, max_size=4))
def test_no_value_in_the_place_of_another_raises(keys: list[tuple[int, str]], folder: Path) -> None:
    lines = GOOD.splitlines()
    for number, value in keys:
        head, colon, _ = lines[number].partition(":")
        lines[number] = f"{head}{colon} {value}"
    check("\n".join(lines), folder)
