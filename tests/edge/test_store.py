import json
import stat
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.edge import store as stored
from runner.edge.secrets import CredentialsProblem, key_pair, read_secret
from runner.edge.store import Entry, Store
from runner.model.credentials import Credentials

KEY = Credentials("a1b2c3d4e5f60718", "00112233445566778899aabbccddeeff")
URL = "http://127.0.0.1:1/api/v2/peatio"


def entry(name: str = "main") -> Entry:
    return Entry(
        name=name,
        venue="altmarkets",
        rest_url=URL,
        account="0123456789abcdef",
        key_hint="0718",
        stored_at="2026-01-01T00:00:00Z",
        store="file",
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "SCRYPT_P", 1)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path), "RUNNER_CREDENTIAL_STORE": "file", "RUNNER_PASSPHRASE": "open sesame"}


def only_file(tmp_path: Path) -> Path:
    (path,) = tmp_path.rglob("*.json")
    return path


def test_a_key_comes_back_and_no_part_of_it_lies_open(tmp_path: Path, environment: dict[str, str]) -> None:
    saved = Store(environment).save(entry(), KEY)
    assert saved.store == "file"
    assert Store(environment).load("main") == KEY
    assert Store(environment).entries() == [saved]
    path = only_file(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_text()
    assert KEY.secret_key not in text
    assert KEY.access_key not in text
    assert "open sesame" not in text
    assert Store(environment).remove("main")
    assert not Store(environment).remove("main")
    assert Store(environment).load("main") is None


def test_a_wrong_passphrase_opens_nothing_and_is_not_told(environment: dict[str, str]) -> None:
    Store(environment).save(entry(), KEY)
    with pytest.raises(CredentialsProblem, match="does not open") as caught:
        Store(environment | {"RUNNER_PASSPHRASE": "wrong one"}).load("main")
    assert "wrong one" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("rest_url", "http://evil.test/"), ("account", "f" * 16), ("name", "other"), ("key_hint", "0000")],
)
def test_a_file_that_was_changed_does_not_open(
    tmp_path: Path, environment: dict[str, str], field: str, value: str
) -> None:
    Store(environment).save(entry(), KEY)
    path = only_file(tmp_path)
    content = json.loads(path.read_text())
    content["entry"][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(CredentialsProblem, match="does not open"):
        Store(environment).load("main")


@pytest.mark.parametrize("change", [{"box": "!"}, {"salt": ""}, {"n": 2**30}, {"p": 1000}, {"r": 0}, {"nonce": "AA=="}])
def test_nonsense_in_a_file_is_a_sentence(tmp_path: Path, environment: dict[str, str], change: dict[str, Any]) -> None:
    Store(environment).save(entry(), KEY)
    path = only_file(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CredentialsProblem, match="does not open"):
        Store(environment).load("main")


@given(st.binary(max_size=80))
def test_a_damaged_file_is_a_sentence_and_can_be_removed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    here = {"XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("config")), "RUNNER_CREDENTIAL_STORE": "file"}
    folder = Path(here["XDG_CONFIG_HOME"], "altmarkets-runner", "credentials")
    folder.mkdir(parents=True)
    (folder / "main.json").write_bytes(content)
    with pytest.raises(CredentialsProblem, match="damaged"):
        Store(here).load("main")
    assert Store(here).entries() == []
    assert Store(here).remove("main")


def test_without_a_passphrase_or_a_terminal_it_says_what_to_set(environment: dict[str, str]) -> None:
    del environment["RUNNER_PASSPHRASE"]
    with pytest.raises(CredentialsProblem, match="RUNNER_PASSPHRASE_FILE"):
        Store(environment).save(entry(), KEY)
    asked: list[str] = []

    def ask(text: str) -> str:
        asked.append(text)
        return "typed, with spaces"

    Store(environment, ask).save(entry(), KEY)
    assert Store(environment, ask).load("main") == KEY
    assert len(asked) == 2


def test_the_passphrase_may_be_a_systemd_credential(tmp_path: Path, environment: dict[str, str]) -> None:
    del environment["RUNNER_PASSPHRASE"]
    (tmp_path / "runner_passphrase").write_text("with spaces \n")
    assert read_secret("RUNNER_PASSPHRASE", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "with spaces "
    Store(environment | {"CREDENTIALS_DIRECTORY": str(tmp_path)}).save(entry(), KEY)
    assert Store(environment | {"RUNNER_PASSPHRASE": "with spaces "}).load("main") == KEY


@pytest.mark.parametrize("name", ["../up", "a/b", "a b", "-", "", "x" * 41, "ä"])
def test_a_name_is_never_a_path(environment: dict[str, str], name: str) -> None:
    if name:
        with pytest.raises(CredentialsProblem, match="cannot name"):
            Store(environment).entry(name)
    else:
        assert Store(environment).entry(name) is None  # the nameless one


@pytest.mark.parametrize("text", ["", "two words", "k\x00", "ä" * 4, "x" * 2000])
def test_what_was_typed_must_be_a_key(text: str) -> None:
    with pytest.raises(CredentialsProblem) as caught:
        key_pair(text, "good")
    assert not text or text not in str(caught.value)


class Memory(keyring.backend.KeyringBackend):
    """A keyring that works, for as long as a test."""

    priority = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def working_keyring() -> Any:
    before = keyring.get_keyring()
    memory = Memory()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def test_a_keyring_that_works_is_taken(tmp_path: Path, environment: dict[str, str], working_keyring: Memory) -> None:
    del environment["RUNNER_CREDENTIAL_STORE"], environment["RUNNER_PASSPHRASE"]
    assert Store(environment).save(entry(), KEY).store == "keyring"
    assert Store(environment).load("main") == KEY
    assert KEY.access_key not in only_file(tmp_path).read_text()
    kept = dict(working_keyring.kept)
    working_keyring.kept.clear()
    with pytest.raises(CredentialsProblem, match="keyring does not have"):
        Store(environment).load("main")
    working_keyring.kept.update(kept)
    assert Store(environment).remove("main")
    assert working_keyring.kept == {}


def test_a_keyring_that_fails_says_nothing_of_what_it_was_told(
    environment: dict[str, str], working_keyring: Memory
) -> None:
    def fails(service: str, username: str, password: str) -> None:
        raise RuntimeError(f"cannot keep {password}")

    working_keyring.set_password = fails  # type: ignore[method-assign]
    with pytest.raises(CredentialsProblem, match="RuntimeError") as caught:
        Store(environment | {"RUNNER_CREDENTIAL_STORE": "keyring"}).save(entry(), KEY)
    assert KEY.secret_key not in str(caught.value)
    assert caught.value.__cause__ is None
