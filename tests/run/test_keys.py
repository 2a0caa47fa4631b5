from pathlib import Path

import pytest

from runner.config.spec import RateLimit
from runner.edge.secrets import CredentialsProblem
from runner.edge.shared_budget import SharedBucket
from runner.edge.store import Entry, Store
from runner.model.credentials import Credentials
from runner.model.ids import account_fingerprint
from runner.run.keys import budget, find_key, missing_key

URL = "https://one.test/api/v2/peatio"
OLD, NEW = Credentials("old-key", "old-secret"), Credentials("new-key", "new-secret")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "XDG_CONFIG_HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path),
        "RUNNER_CREDENTIAL_STORE": "file",
        "RUNNER_PASSPHRASE": "x",
    }


def save(environment: dict[str, str], key: Credentials, account: str, rest_url: str = URL) -> None:
    entry = Entry(
        name="main", venue="altmarkets", rest_url=rest_url, account=account, key_hint="", stored_at="", store="file"
    )
    Store(environment).save(entry, key)


def test_the_environment_goes_before_the_store(environment: dict[str, str]) -> None:
    assert find_key("main", URL, environment) is None
    save(environment, OLD, "0" * 16)
    found = find_key("main", URL, environment)
    assert found is not None
    assert (found.credentials, found.account) == (OLD, "0" * 16)
    exported = environment | {"ALTMARKETS_MAIN_API_KEY": "new-key", "ALTMARKETS_MAIN_SECRET_KEY": "new-secret"}
    found = find_key("main", URL, exported)
    assert found is not None
    assert (found.credentials, found.account) == (NEW, account_fingerprint("https://one.test", "new-key"))


def test_a_stored_key_goes_to_no_other_exchange(environment: dict[str, str]) -> None:
    save(environment, OLD, "0" * 16)
    for elsewhere in ("https://two.test/api/v2/peatio", "http://one.test/api/v2/peatio", "https://one.test:444/"):
        with pytest.raises(CredentialsProblem, match="is not sent to"):
            find_key("main", elsewhere, environment)


def test_a_name_for_the_account_goes_before_its_keys(environment: dict[str, str]) -> None:
    save(environment, OLD, "0" * 16)
    found = find_key("main", URL, environment, account="mine")
    assert found is not None
    assert found.account == account_fingerprint("https://one.test", "mine")


def test_what_is_missing_is_told_with_both_ways_to_give_it() -> None:
    said = missing_key("main", URL)
    assert "runner connect altmarkets --name main" in said
    assert "ALTMARKETS_MAIN_SECRET_KEY" in said


def test_one_budget_for_each_key_and_exchange(environment: dict[str, str], tmp_path: Path) -> None:
    limit = RateLimit(3, 10)
    for key, url in ((OLD, URL), (OLD, "https://two.test/"), (NEW, URL), (None, URL)):
        bucket = budget(limit, key, url, environment)
        assert isinstance(bucket, SharedBucket)
        assert bucket.take(10**18)
        bucket.close()
    names = [path.name for path in (tmp_path / "altmarkets-runner" / "budget").iterdir()]
    assert len(names) == 4
    assert not any("key" in name for name in names)


def test_a_terminal_and_a_job_without_a_login_session_share_one_budget(environment: dict[str, str]) -> None:
    """Each has another runtime folder, or none; both are the same user with the same key."""
    limit, now = RateLimit(3, 10**12), 10**18
    terminal = budget(limit, OLD, URL, environment | {"XDG_RUNTIME_DIR": environment["XDG_STATE_HOME"] + "/login"})
    job = budget(limit, OLD, URL, environment)
    unit = budget(limit, OLD, URL, environment | {"RUNTIME_DIRECTORY": environment["XDG_STATE_HOME"] + "/unit"})
    assert [bucket.take(now) for bucket in (terminal, job, unit, terminal, job)] == [True, True, True, False, False]
    for bucket in (terminal, job, unit):
        assert isinstance(bucket, SharedBucket)
        bucket.close()


def test_without_a_folder_for_it_the_budget_is_our_own(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "altmarkets-runner").write_text("not a folder")
    bucket = budget(RateLimit(3, 10), OLD, URL, environment)
    assert not isinstance(bucket, SharedBucket)
    assert bucket.free(0) == 3
