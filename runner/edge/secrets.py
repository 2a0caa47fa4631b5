"""The keys of an account, from the environment, from files it names, or from systemd's credentials.

For each of the two keys, in this order:

    ALTMARKETS_API_KEY           the key itself           ALTMARKETS_SECRET_KEY
    ALTMARKETS_API_KEY_FILE      a file that holds it     ALTMARKETS_SECRET_KEY_FILE
    $CREDENTIALS_DIRECTORY/altmarkets_api_key             .../altmarkets_secret_key

A credential with a name has it in the middle: `main` is ALTMARKETS_MAIN_API_KEY. There is no falling back from a
named credential to the nameless one: orders would go to another account than the file says. No message of this
module holds a key or a part of one.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from runner.model.credentials import Credentials

KEY_BYTES_MAX = 1024

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?")


class CredentialsProblem(Exception):
    """Keys that are there but cannot be used: what is wrong and what to do."""


def credentials(name: str | None, environment: Mapping[str, str]) -> Credentials | None:
    """Find the key pair of a credential; None if neither half of it is anywhere.

    Raises CredentialsProblem for half a pair, a file that cannot be read, and text that cannot be a key.
    """
    access_variable, secret_variable = variables(name)
    access_key, secret_key = (_find(variable, environment, _checked) for variable in (access_variable, secret_variable))
    if access_key is None and secret_key is None:
        return None
    for key, missing, there in (
        (access_key, access_variable, secret_variable),
        (secret_key, secret_variable, access_variable),
    ):
        if key is None:
            raise CredentialsProblem(f"{there} is set but {missing} is not; set {missing} or {missing}_FILE")
    assert access_key is not None
    assert secret_key is not None
    return Credentials(access_key, secret_key)


def variables(name: str | None) -> tuple[str, str]:
    """The two environment variables of a credential: access key, secret key. For messages that say what to set."""
    if name is None:
        return "ALTMARKETS_API_KEY", "ALTMARKETS_SECRET_KEY"
    if not _NAME.fullmatch(name):
        raise CredentialsProblem(
            f"{name!r} cannot name a credential; use letters, digits, dash and underscore, for example 'main'"
        )
    middle = name.upper().replace("-", "_")
    return f"ALTMARKETS_{middle}_API_KEY", f"ALTMARKETS_{middle}_SECRET_KEY"


def key_pair(access_key: str, secret_key: str) -> Credentials:
    """Two texts that a person gave. Raises CredentialsProblem for what cannot be a key."""
    first = _checked(access_key.encode(errors="surrogateescape"), "the API key")
    return Credentials(first, _checked(secret_key.encode(errors="surrogateescape"), "the secret"))


def read_secret(variable: str, environment: Mapping[str, str]) -> str | None:
    """Any other secret, from the same places: a line of text, spaces inside allowed. None if it is nowhere."""
    return _find(variable, environment, _line)


def _find(variable: str, environment: Mapping[str, str], checked: Callable[[bytes, str], str]) -> str | None:
    file_variable = f"{variable}_FILE"
    if variable in environment and file_variable in environment:
        raise CredentialsProblem(f"both {variable} and {file_variable} are set; unset one of them")
    if variable in environment:
        return checked(environment[variable].encode(errors="surrogateescape"), variable)
    if file_variable in environment:
        return checked(
            _read(Path(environment[file_variable]), file_variable), f"{environment[file_variable]} ({file_variable})"
        )
    if "CREDENTIALS_DIRECTORY" in environment:
        path = Path(environment["CREDENTIALS_DIRECTORY"], variable.lower())
        if path.exists():
            return checked(_read(path, "CREDENTIALS_DIRECTORY"), f"{path} (CREDENTIALS_DIRECTORY)")
    return None


def _read(path: Path, variable: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(KEY_BYTES_MAX + 1)
    except OSError as error:
        raise CredentialsProblem(
            f"{path} ({variable}) cannot be read: {error.strerror}; check path and rights"
        ) from error


def _checked(content: bytes, source: str) -> str:
    key = content.strip()
    if not key:
        raise CredentialsProblem(f"{source} is empty; put the key there or unset it")
    # Bytes are looked at before decoding: a UnicodeDecodeError would carry the key into a traceback.
    if len(key) > KEY_BYTES_MAX or not all(0x21 <= byte <= 0x7E for byte in key):
        raise CredentialsProblem(f"{source} does not hold a key: one word of plain characters is expected")
    return key.decode("ascii")


def _line(content: bytes, source: str) -> str:
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or len(line) > KEY_BYTES_MAX or "\n" in text:
        raise CredentialsProblem(f"{source} does not hold one line of text") from None
    return text
