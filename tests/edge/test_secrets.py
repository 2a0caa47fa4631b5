import io
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.pretty import Pretty

from runner.edge.secrets import KEY_BYTES_MAX, CredentialsProblem, credentials, variables
from runner.model.credentials import Credentials

PAIR = {"ALTMARKETS_API_KEY": "access", "ALTMARKETS_SECRET_KEY": "hidden"}


def test_nothing_anywhere_is_no_credentials() -> None:
    assert credentials(None, {}) is None
    assert credentials("main", PAIR) is None, "orders must not go to another account than the file names"
    assert credentials(None, {"CREDENTIALS_DIRECTORY": "/does/not/exist"}) is None


def test_keys_come_from_the_environment() -> None:
    assert credentials(None, PAIR) == Credentials("access", "hidden")
    named = {"ALTMARKETS_MY_MAIN_API_KEY": "a", "ALTMARKETS_MY_MAIN_SECRET_KEY": "b", **PAIR}
    assert credentials("my-main", named) == Credentials("a", "b")
    assert variables("my-main") == ("ALTMARKETS_MY_MAIN_API_KEY", "ALTMARKETS_MY_MAIN_SECRET_KEY")


def test_keys_come_from_files_and_from_systemd(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("access\n")
    (tmp_path / "altmarkets_main_secret_key").write_text("  hidden \n\n")
    environment = {"ALTMARKETS_MAIN_API_KEY_FILE": str(tmp_path / "file"), "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert credentials("main", environment) == Credentials("access", "hidden")
    environment["ALTMARKETS_MAIN_SECRET_KEY"] = "nearer"
    assert credentials("main", environment) == Credentials("access", "nearer")


@pytest.mark.parametrize(
    ("name", "environment", "words"),
    [
        (None, {"ALTMARKETS_API_KEY": "SESAME"}, "ALTMARKETS_API_KEY is set but ALTMARKETS_SECRET_KEY is not"),
        (None, {"ALTMARKETS_SECRET_KEY": "SESAME"}, "set ALTMARKETS_API_KEY or ALTMARKETS_API_KEY_FILE"),
        (None, {**PAIR, "ALTMARKETS_API_KEY": ""}, "ALTMARKETS_API_KEY is empty"),
        (None, {**PAIR, "ALTMARKETS_API_KEY": "SESAME SESAME"}, "does not hold a key"),
        (None, {**PAIR, "ALTMARKETS_API_KEY": "SESAMÉ"}, "does not hold a key"),
        (None, {**PAIR, "ALTMARKETS_API_KEY": "SESAME\udcff"}, "does not hold a key"),
        (None, {**PAIR, "ALTMARKETS_API_KEY": "SESAME" * KEY_BYTES_MAX}, "does not hold a key"),
        (None, {**PAIR, "ALTMARKETS_API_KEY_FILE": "/x"}, "both ALTMARKETS_API_KEY and ALTMARKETS_API_KEY_FILE"),
        (None, {"ALTMARKETS_API_KEY_FILE": "/does/not/exist"}, "/does/not/exist .* cannot be read: No such file"),
        ("ma in", PAIR, "'ma in' cannot name a credential"),
        ("", PAIR, "cannot name a credential"),
    ],
)
def test_keys_that_cannot_be_used_are_a_problem_with_a_way_out(
    name: str | None, environment: dict[str, str], words: str
) -> None:
    with pytest.raises(CredentialsProblem, match=words) as problem:
        credentials(name, environment)
    assert "SESAM" not in "".join(traceback.format_exception(problem.value))


def test_a_file_that_holds_no_key_is_a_problem_that_does_not_quote_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for content in (b"", b" \n", b"SESAME\xff", b"SESAME\0", b"SESAME\nSESAME", b"SESAME" * KEY_BYTES_MAX):
        file.write_bytes(content)
        with pytest.raises(CredentialsProblem) as problem:
            credentials(None, {"ALTMARKETS_API_KEY_FILE": str(file)})
        assert str(file) in str(problem.value)
        assert "SESAME" not in "".join(traceback.format_exception(problem.value))
        assert problem.value.__context__ is None


@given(key=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64))
def test_any_word_of_plain_characters_is_taken_as_it_is(key: str) -> None:
    assert credentials(None, {**PAIR, "ALTMARKETS_SECRET_KEY": key}) == Credentials("access", key)


def test_credentials_do_not_print() -> None:
    pair = Credentials("SESAME-access", "SESAME-secret")
    console = Console(file=io.StringIO())
    console.print(pair, Pretty([pair]))
    assert isinstance(console.file, io.StringIO)
    for text in (repr(pair), str(pair), f"{pair}", f"{[pair]}", "%s" % pair, console.file.getvalue()):  # noqa: UP031
        assert "SESAME" not in text
        assert "Credentials" in text
