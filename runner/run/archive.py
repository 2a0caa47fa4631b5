"""Where the journal of a strategy file is, found without asking the exchange."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from runner.config.spec import Altmarkets, Deployment, RunSpec
from runner.edge.journal import Journal
from runner.edge.journal_file import JournalUnusable
from runner.edge.places import JOURNAL_FILE, Passing, passing_runs, state_folder, state_root
from runner.edge.secrets import CredentialsProblem
from runner.model.exits import Exit
from runner.run.ends import CannotRun
from runner.run.keys import find_key

Environment = Mapping[str, str]


def folder_of(spec: RunSpec, environment: Environment, ask: Callable[[str], str] | None = None) -> Path:
    """The folder of a file's journal; of an account that ends with its run (a paper account, the
    embedded sandbox) that of the newest run of this name.

    The account is known by its key. Without the key (another shell, another user's cron) the only journal of that name
    will do. Raises CannotRun: 10 where nothing of that name has ever run, 2 where several accounts have it.
    """
    venue = spec.connector.venue
    if spec.connector.paper is not None:
        found = _newest(spec, environment, "paper")
    elif isinstance(venue, Altmarkets):
        raise CannotRun(Exit.UNREACHABLE, f"{spec.file}: no run was ever possible there; name a venue")
    elif isinstance(venue, Deployment):
        found = _of_account(spec, venue, environment, ask)
    else:
        found = _newest(spec, environment, "sandbox")
    if found is None:
        raise CannotRun(Exit.NOT_RUNNING, f"{spec.file}: no run of {spec.settings.name} has left a journal here")
    return found


@contextmanager
def reading(folder: Path) -> Iterator[Journal]:
    """A folder's journal to look at. Raises CannotRun (7) where it cannot be read, at once or on the way."""
    try:
        with Journal.read_only(folder / JOURNAL_FILE) as journal:
            yield journal
    except JournalUnusable as error:
        raise CannotRun(Exit.UNPROVEN, str(error)) from error


def _of_account(
    spec: RunSpec, venue: Deployment, environment: Environment, ask: Callable[[str], str] | None
) -> Path | None:
    name = spec.settings.name
    try:
        key = find_key(spec.connector.credentials, venue.rest_url, environment, account=spec.connector.account, ask=ask)
    except CredentialsProblem:
        key = None
    if key is not None:
        folder = state_folder(environment, key.account, name)
        return folder if (folder / JOURNAL_FILE).exists() else None
    # The names of accounts are escaped as the names of strategies are: any one will do to learn this one's.
    accounts = sorted((state_root(environment) / "accounts").glob(f"*/{state_folder(environment, 'x', name).name}"))
    folders = [folder for folder in accounts if (folder / JOURNAL_FILE).exists()]
    if len(folders) > 1:
        raise CannotRun(
            Exit.USAGE,
            f"{spec.file}: {len(folders)} accounts have a journal of {name}; export the API key of the one that is "
            "meant, or name it with connector.account",
        )
    return folders[0] if folders else None


def _newest(spec: RunSpec, environment: Environment, kind: Passing) -> Path | None:
    """Every run whose account ends with it has a folder of its own, and its name sorts by time."""
    for folder in sorted(passing_runs(environment, kind).glob("*"), reverse=True):
        try:
            with Journal.read_only(folder / JOURNAL_FILE) as journal:
                if journal.name == spec.settings.name:
                    return folder
        except JournalUnusable:
            continue
    return None
