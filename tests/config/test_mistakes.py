"""Planted mistakes: each is found where it is, and the reader is told what to do."""

from pathlib import Path
from typing import NamedTuple

import pytest
from config_files import changed, problems


class Mistake(NamedTuple):
    old: str
    new: str
    where: str  # line:column
    code: str
    path: str
    fix: str


def _paper(text: str, where: str, code: str, path: str, fix: str) -> Mistake:
    """In the block of a paper account."""
    return Mistake(
        "type: altmarkets\n  venue: sandbox\n  credentials: main",
        f"type: altmarkets_paper\n  venue: sandbox\n  paper: {{{text}}}",
        where,
        code,
        f"connector.paper.{path}",
        fix,
    )


MISTAKES = [
    # keys
    Mistake("  max_position:", "  max_positon:", "16:3", "key.unknown", "risk.max_positon", "write max_position"),
    Mistake("name: roger-maker\n", "", "1:1", "key.missing", "name", "add `name: …` (Names the run, its journal and "
            "its orders: up to 40 characters of a-z, 0-9 and dash)"),
    Mistake("  max_book_age: 15s\n", "  max_open_orders: 5\n", "19:3", "key.duplicate", "risk", "remove one of them"),
    Mistake("risk:\n", "max_book_age: 5s\nrisk:\n", "15:1", "key.unknown", "max_book_age", "move it into risk"),
    Mistake("credentials: main", "api_secret: hunter2", "6:3", "key.secret", "connector.api_secret",
            "remove it, revoke it at the venue if anybody else can read this file, and give the new one in the "
            "environment: ALTMARKETS_API_KEY and ALTMARKETS_SECRET_KEY"),
    Mistake("half_spread", "half_spred", "11:5", "key.unknown", "strategy.params.half_spred", "write half_spread"),
    Mistake("    quantity: 1000 ROGER\n", "", "10:3", "key.missing", "strategy.params.quantity",
            "add `quantity: …` (of each order: at least 1)"),
    # types and words
    Mistake("version: 1", "version: 2", "1:10", "value.unknown", "version", "write 1"),
    Mistake("version: 1", 'version: "1"', "1:10", "value.unknown", "version", "write 1"),
    Mistake("version: 1", "version: 1.0", "1:10", "value.type", "version", "write 1"),
    Mistake("roger-maker", "Roger Maker", "2:7", "value.text", "name", "write roger-maker"),
    Mistake("roger-maker", "42", "2:7", "value.type", "name", 'write "42", with the quotes'),
    Mistake("type: altmarkets", "type: altmarket", "4:9", "value.unknown", "connector.type", "write altmarkets"),
    Mistake("type: altmarkets", "type: altmarkets_papr", "4:9", "value.unknown", "connector.type",
            "write altmarkets_paper"),
    # the paper account
    Mistake("credentials: main", "paper: {balances: {BTC: 1}}", "6:3", "value.conflict", "connector.paper",
            "write type: altmarkets_paper, or remove it"),
    _paper("balances: {DOGE: 1}", "6:22", "unit.currency", "balances.DOGE", "write one of ROGER, BTC"),
    _paper("balances: {BTC: 1 ROGER}", "6:27", "unit.currency", "balances.BTC",
           "write 1 BTC, or move it under ROGER"),
    _paper("balances: {BTC: -1}", "6:27", "value.range", "balances.BTC", "write 0 or more"),
    _paper("maker_fee: 0.2", "6:22", "unit.wrong", "maker_fee", "write 0.2% or 0.2bps"),
    _paper("taker_fee: 20%", "6:22", "value.range", "taker_fee", "write 10% or less"),
    _paper("latency: {order: 50}", "6:28", "unit.wrong", "latency.order", "write 50s or 50m"),
    _paper("latency: {cancel: 80ms to 40ms}", "6:29", "unit.wrong", "latency.cancel", "write 40ms to 80ms"),
    _paper("latency: {data: fast}", "6:27", "unit.wrong", "latency.data",
           "write it as in 50ms or 40ms to 80ms or 40ms + 20ms"),
    _paper("latency: {processing: 2m}", "6:33", "value.range", "latency.processing", "write 1m or less"),
    _paper("latency: {data: 5ms, recorded: 20261125-101500-123}", "6:21", "value.conflict", "latency.data",
           "remove it, or remove recorded"),
    _paper("queue: power 17", "6:18", "value.text", "queue", "write it as in risk_averse"),
    _paper("queue: optimistic", "6:18", "value.text", "queue", "write it as in risk_averse"),
    _paper("seed: -1", "6:17", "value.range", "seed", "write 0 or more"),
    _paper("taker_fees: 1%", "6:11", "key.unknown", "taker_fees", "write taker_fee"),
    Mistake("venue: sandbox", "venue: sandbx", "5:10", "value.unknown", "connector.venue", "write sandbox"),
    Mistake("venue: sandbox", "venue: {rest_url: https://x.example/api/v2}", "5:3", "key.missing",
            "connector.venue.stream_url", "add `stream_url: …` (Root of the WebSocket API, above `/public` and "
            "`/private`: a ws or wss address without user, query or fragment)"),
    Mistake("venue: sandbox", "venue: {rest_url: 'ftp://x/', stream_url: 'wss://x/'}", "5:21", "value.text",
            "connector.venue.rest_url", "write it as in https://example.com/api/v2"),
    Mistake("max_open_orders: 20", "max_open_orders: many", "18:20", "value.type", "risk.max_open_orders",
            "write a whole number"),
    Mistake("max_open_orders: 20", "max_open_orders: 1_000", "18:20", "value.type", "risk.max_open_orders",
            "write 1000"),
    Mistake("max_open_orders: 20", "max_open_orders: -1", "18:20", "value.range", "risk.max_open_orders",
            "write 0 or more"),
    Mistake("when: [book, fill]", "when: [book, fil]", "14:32", "value.unknown", "tick.when[1]", "write fill"),
    Mistake("when: [book, fill]", "when: fill", "14:25", "value.type", "tick.when", "write [fill]"),
    Mistake("on_stop: cancel", "on_stop: leafe", "20:26", "value.unknown", "run.on_stop", "write leave"),
    Mistake("levels: 3", "levels: 9", "13:13", "value.range", "strategy.params.levels", "write 5 or less"),
    Mistake("levels: 3", "eager: yes", "13:12", "value.type", "strategy.params.eager", "write true"),
    Mistake("levels: 3", "side: booth", "13:11", "value.unknown", "strategy.params.side", "write both"),
    Mistake("run: {for: 55m, on_stop: cancel}", "run:", "20:5", "value.empty", "run",
            "give it a value, or remove the key"),
    Mistake("risk:\n", "risk: [1]\nrun_:\n", "15:7", "value.type", "risk", "write a group of `key: value` lines"),
    # units and bounds
    Mistake("40bps", "0.4", "11:18", "unit.wrong", "strategy.params.half_spread", "write 0.4% or 0.4bps"),
    Mistake("40bps", "40 ROGER", "11:18", "unit.wrong", "strategy.params.half_spread", "the units are %, bps"),
    Mistake("40bps", "21%", "11:18", "value.range", "strategy.params.half_spread", "write 20% or less"),
    Mistake("40bps", "true", "11:18", "value.type", "strategy.params.half_spread", "write it as in 40bps or 0.4%"),
    Mistake("1000 ROGER", "1000", "12:15", "unit.currency", "strategy.params.quantity", "write 1000 ROGER"),
    Mistake("1000 ROGER", "0.5 ROGER", "12:15", "value.range", "strategy.params.quantity", "write 1 or more"),
    Mistake("1000 ROGER", "1000 BTC", "12:15", "unit.currency", "strategy.params.quantity", "write it in ROGER"),
    Mistake("1000 ROGER", "1000 RGER", "12:15", "unit.currency", "strategy.params.quantity", "write 1000 ROGER"),
    Mistake("levels: 3", "cash: 50 ROGER", "13:11", "unit.currency", "strategy.params.cash", "write it in BTC"),
    Mistake("levels: 3", "steps: [1%, 2]", "13:17", "unit.wrong", "strategy.params.steps[1]", "write 2% or 2bps"),
    Mistake("max_book_age: 15s", "max_book_age: 15", "19:17", "unit.wrong", "risk.max_book_age", "write 15s or 15m"),
    Mistake("max_book_age: 15s", "max_book_age: 1ms", "19:17", "value.range", "risk.max_book_age",
            "write 100ms or more"),
    Mistake("for: 55m", "for: 55min", "20:12", "unit.wrong", "run.for", "write 55m"),
    Mistake("every: 1s", "every: 50ms", "14:15", "value.conflict", "tick.every",
            "write at_most_every: 50ms or less, or a longer time here"),
    # currencies
    Mistake("{ROGER: 50000}", "{ROGE: 50000}", "16:18", "unit.currency", "risk.max_position.ROGE", "write ROGER"),
    Mistake("{ROGER: 50000}", "{BTC: 50000}", "16:18", "unit.currency", "risk.max_position.BTC", "write it in ROGER"),
    Mistake("{ROGER: 50000}", "{ROGER: 50000 BTC}", "16:25", "unit.currency", "risk.max_position.ROGER",
            "write 50000 ROGER, or move it under BTC"),
    Mistake("{ROGER: 50000}", "{ROGER: -1}", "16:25", "value.range", "risk.max_position.ROGER", "write 0 or more"),
    Mistake("{BTC: 0.01}", "{BTC: 1e-2}", "17:29", "unit.wrong", "risk.max_order_notional.BTC",
            "write it as in 0.01 BTC or 50 USDT"),
    Mistake("on_stop: cancel", "initial_position: {LTC: 5}", "20:36", "unit.currency", "run.initial_position.LTC",
            "write one of ROGER, BTC"),
    # markets
    Mistake("[ROGER-BTC]", "[ROGER-BTX]", "7:11", "market.unknown", "markets[0]", "write ROGER-BTC"),
    Mistake("[ROGER-BTC]", "[ROGER-BTC, ROGER-BTC]", "7:22", "market.duplicate", "markets[1]", "remove one of them"),
    Mistake("[ROGER-BTC]", "[roger/btc]", "7:11", "value.text", "markets[0]", "write ROGER-BTC"),
    Mistake("[ROGER-BTC]", "[]", "7:10", "value.range", "markets", "write it as in [ROGER-BTC]"),
    Mistake("[ROGER-BTC]", "ROGER-BTC", "7:10", "value.type", "markets", "write [ROGER-BTC]"),
    # the strategy
    Mistake("./spread.py:Spread", "pure_market_makin", "9:8", "strategy.unknown", "strategy.use",
            "write pure_market_making"),
    Mistake("./spread.py:Spread", "./spraed.py:Spread", "9:8", "strategy.unknown", "strategy.use",
            "name a file relative to {folder}"),
    Mistake("./spread.py:Spread", "./spread.py:Spreat", "9:8", "strategy.unknown", "strategy.use",
            "write Spread, or define Spreat in ./spread.py"),
    Mistake("./spread.py:Spread", "./spread.py", "9:8", "strategy.unknown", "strategy.use",
            "write file and class, as in ./mine.py:MyStrategy"),
    Mistake("levels: 3", "side: sell\n    floor: 0.00004 BTC", "10:3", "strategy.params", "strategy.params",
            "see runner strategies ./spread.py:Spread"),
    Mistake("  credentials: main", "  seed: -1", "6:9", "value.range", "connector.seed", "write 0 or more"),
    # YAML
    Mistake("  max_open_orders: 20", "\tmax_open_orders: 20", "18:1", "yaml.syntax", "", "indent with spaces"),
    Mistake("name: roger-maker", "name: 'roger-maker", "2:7", "yaml.syntax", "", "close it"),
    Mistake("name: roger-maker", "name: a: b", "2:8", "yaml.syntax", "",
            "check the indentation here and above; a value with `: ` in it needs quotes"),
    Mistake("name: roger-maker", "name: @roger", "2:7", "yaml.syntax", "", "put it in quotes"),
    Mistake("  venue: sandbox", "   venue: sandbox", "5:9", "yaml.syntax", "",
            "check the indentation here and above; a value with `: ` in it needs quotes"),
    Mistake("run: {for: 55m, on_stop: cancel}", "run: {for: 55m, on_stop: cancel", "20:6", "yaml.syntax", "",
            "write {key: value, key: value}"),
    Mistake("name: roger-maker", "name: !!str 5", "2:7", "yaml.tag", "name", "remove the tag, `!` and all"),
    Mistake("name: roger-maker", "name: *other", "2:7", "yaml.alias", "name", "add `&other` or write it out"),
    Mistake("name: roger-maker", "name: |\n  roger", "2:7", "value.text", "name", "write it on one line"),
    Mistake("risk:\n", "risk:\n  <<: {max_open_orders: 3}\n", "16:3", "yaml.key", "risk",
            "write the keys out, or use an alias for a whole value"),
    Mistake("run: {", "---\nrun: {", "20:1", "yaml.documents", "",
            "keep one strategy per file and remove everything from this `---` on"),
    Mistake("roger-maker", "roger\x07maker", "2:12", "yaml.encoding", "",
            "remove it; a strategy file is plain text in UTF-8"),
    # limits
    Mistake("max_book_age: 15s", "max_order_rate: 20 per 10s", "19:19", "unit.wrong", "risk.max_order_rate",
            "write it as in 20/10s or 100/1m"),
    Mistake("max_book_age: 15s", "max_order_rate: 20/2d", "19:19", "unit.wrong", "risk.max_order_rate",
            "write a time of up to 1d"),
    Mistake("max_book_age: 15s", "resume: after", "19:11", "value.conflict", "risk.resume", "add resume_after: 30m"),
    Mistake("max_book_age: 15s", "resume_after: 5m", "19:17", "value.conflict", "risk.resume_after",
            "write resume: after, or remove it"),
    Mistake("max_book_age: 15s", "day_start: 25:00", "19:14", "value.text", "risk.day_start", "write it as in 17:30"),
    Mistake("max_book_age: 15s", "on_breach: halt_and_flaten", "19:14", "value.unknown", "risk.on_breach",
            "write halt_and_flatten"),
    Mistake("max_book_age: 15s", "collar_price: 0.00005 BTC", "19:17", "value.conflict", "risk.collar_price",
            "add price_collar: 5%, or remove it"),
    Mistake("max_book_age: 15s", "max_daily_loss: {ROGER: 5}", "19:20", "unit.currency", "risk.max_daily_loss.ROGER",
            "write it in BTC"),
    Mistake("max_book_age: 15s", "min_position: {ROGER: 60000}", "19:25", "value.conflict",
            "risk.min_position.ROGER", "write 50000 or less"),
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.new.strip()[:40])
def test_a_mistake_is_found_where_it_is(mistake: Mistake, folder: Path) -> None:
    found = problems(changed((mistake.old, mistake.new)), folder)
    told = [(f"{item.line}:{item.column}", item.code, item.path) for item in found]
    assert (mistake.where, mistake.code, mistake.path) in told, "\n".join(map(str, found))
    assert mistake.fix.replace("{folder}", str(folder)) in [item.fix for item in found if item.code == mistake.code]


ALONE = [mistake for mistake in MISTAKES if "run_:" not in mistake.new]


@pytest.mark.parametrize("mistake", ALONE, ids=lambda mistake: mistake.new.strip()[:40])
def test_one_mistake_is_one_problem(mistake: Mistake, folder: Path) -> None:
    found = problems(changed((mistake.old, mistake.new)), folder)
    assert len(found) == 1, "\n".join(map(str, found))


def test_a_secret_is_not_repeated(folder: Path) -> None:
    (found,) = problems(changed(("credentials: main", "api_secret: hunter2")), folder)
    assert "hunter2" not in f"{found} {found.facts()}"


def test_every_problem_is_told_at_once(folder: Path) -> None:
    text = changed(
        ("version: 1", "version: 3"),
        ("sandbox", "sandbix"),
        ("40bps", "40"),
        ("1000 ROGER", "1000 DOGE"),
        ("every: 1s", "every: 1 sec"),
        ("max_open_orders: 20", "max_open_order: 20"),
        ("for: 55m", "for: soon"),
    )
    assert [item.line for item in problems(text, folder)] == [1, 5, 11, 12, 14, 18, 20]
