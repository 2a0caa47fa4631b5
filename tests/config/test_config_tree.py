"""YAML text to nodes: types, positions, and an end to everything that grows."""

from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runner.config import tree as tree_module
from runner.config.problems import Source
from runner.config.tree import DEPTH_MAX, NODES_MAX, Items, Keys, Node, Scalar, as_text, builtin, decoded, tree, typed


def read(text: str) -> tuple[Any, list[str]]:
    node, problems = tree(text, Source.of("f.yml", text))
    return (None if node is None else builtin(node)), [problem.code for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("0", 0),
        ("-12", -12),
        ("0.10", Decimal("0.10")),
        ("-0.000051", Decimal("-0.000051")),
        # none of these is what PyYAML makes of it
        *[(word, word) for word in ("yes", "no", "on", "off", "y", "n", "True", "FALSE", "Null", "~", "NO")],
        *[(word, word) for word in ("17:30", "0x1F", "010", "1_000", "1e3", ".5", "5.", "+5", ".inf", ".nan")],
        *[(word, word) for word in ("2026-01-01", "40bps", "1000 ROGER", "=", "9" * 19)],
    ],
)
def test_only_plain_words_and_numbers_get_a_type(text: str, value: object) -> None:
    assert read(f"key: {text}") == ({"key": value}, [])
    assert type(typed(text)) is type(value)
    assert read(f"key: '{text}'") == ({"key": text}, [])


def test_keys_are_text() -> None:
    assert read("on: 1\ntrue: 2\n17:30: 3\n5: 4\nnull: 5") == ({"on": 1, "true": 2, "17:30": 3, "5": 4, "null": 5}, [])


@given(number=st.decimals(min_value=-(10**15), max_value=10**15, places=8))
def test_decimals_are_exact(number: Decimal) -> None:
    value = read(f"key: {number:f}")[0]["key"]
    assert value == number
    node, _ = tree(f"{number:f}", Source.of("f.yml", ""))
    assert node is not None
    assert Decimal(as_text(node)) == number


VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.none(),
        st.integers(-(10**17), 10**17),
        st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=("C",)), max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.from_regex("[a-z][a-z_]{0,5}", fullmatch=True), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(value=VALUES, flow=st.booleans())
def test_what_a_yaml_writer_writes_is_read_back(value: Any, flow: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    node, problems = tree(text, Source.of("f.yml", text))
    assert [problem for problem in problems if problem.code != "value.text"] == []
    assert node is not None
    assert builtin(node) == value
    assert_positions(node, text.splitlines())


def assert_positions(node: Node, lines: list[str]) -> None:
    """Every scalar's text begins where the scalar says that it is; quotes are where it says for quoted ones."""
    match node:
        case Scalar(at=at, text=text):
            rest = lines[at.line - 1][at.column - 1 :]
            assert rest.startswith((text[:1], "'", '"'))
        case Items(items=items):
            for item in items:
                assert_positions(item, lines)
        case Keys(entries=entries):
            for key, (at, child) in entries.items():
                assert lines[at.line - 1][at.column - 1 :].startswith((key, "'", '"'))
                assert_positions(child, lines)


@given(text=st.one_of(st.text(max_size=60), st.text("{}[]:-,&*!|>'\"#%@ \t\nab01?", max_size=60)))
def test_both_parsers_of_pyyaml_end_in_a_tree_or_a_problem(text: str) -> None:
    content, problems = decoded(text, "f.yml")
    if problems:
        return
    for loader in (tree_module._LOADER, yaml.BaseLoader):
        before, tree_module._LOADER = tree_module._LOADER, loader
        try:
            node, problems = tree(content, Source.of("f.yml", content))
        finally:
            tree_module._LOADER = before
        assert node is not None or problems or not content.strip() or "#" in content or "..." in content
        for problem in problems:
            assert 1 <= problem.line <= content.count("\n") + content.count("\x85") + 2 + len(content)
            assert problem.column >= 1
            assert str(problem)


# What grows -----------------------------------------------------------------------------------------------


def test_an_alias_is_its_anchor_again() -> None:
    assert read("a: &limits {ROGER: 5}\nb: *limits") == ({"a": {"ROGER": 5}, "b": {"ROGER": 5}}, [])


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert read("\n".join(rows)) == (None, ["yaml.size"])


def test_a_deep_chain_of_aliases_is_refused() -> None:
    rows = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200))]
    assert read("\n".join(rows)) == (None, ["yaml.size"])


@pytest.mark.parametrize("text", ["a: &a [*a]", "&a b: &c {d: *c}"])
def test_a_node_cannot_hold_itself(text: str) -> None:
    assert read(text)[1] == ["yaml.alias"]


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_depth_is_bounded(brackets: str) -> None:
    opening, closing = brackets[0] + ("a: " if brackets == "{}" else ""), brackets[1]
    assert read(opening * DEPTH_MAX + "1" + closing * DEPTH_MAX)[1] == []
    assert read(opening * (DEPTH_MAX + 1) + "1" + closing * (DEPTH_MAX + 1))[1] == ["yaml.size"]
    assert read(opening * 50_000)[1] == ["yaml.size"]


def test_size_is_bounded() -> None:
    assert read(f"[{'x, ' * (NODES_MAX - 1)}]")[1] == []
    assert read(f"[{'x, ' * NODES_MAX}]")[1] == ["yaml.size"]
    assert [problem.code for problem in decoded("x" * 2_000_000, "f.yml")[1]] == ["yaml.size"]


# Encodings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"a: 1\nb: \xff\n", (2, 4)),
        ("a: 1\nbé: \x00".encode(), (2, 5)),
        ("name: \ufeffx".encode(), (1, 7)),
        ("a: 1".encode("utf-16"), (1, 1)),
        (b"a: \x1b[31m", (1, 4)),
    ],
)
def test_what_is_not_yaml_text_is_told_where_it_is(data: bytes, where: tuple[int, int]) -> None:
    (problem,) = decoded(data, "f.yml")[1]
    assert (problem.code, problem.line, problem.column) == ("yaml.encoding", *where)
    assert str(problem).replace("\n", "").isprintable()


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert decoded(b"\xef\xbb\xbfa: 1", "f.yml") == ("a: 1", [])
