"""The credential store: API keys by name, in the operating system's keyring or in an encrypted file.

For each credential there is a file CONFIG/credentials/NAME.json (0600) that says in plain text where the key belongs
and where it is kept, and with `store: file` holds the key, sealed: a passphrase stretched with scrypt, then
ChaCha20-Poly1305 over the key with everything else in the file as associated data. So a file cannot be given another
exchange's address without breaking its seal. No message of this module holds a key, a passphrase or a part of one.
"""

import base64
import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from runner.edge.places import config_root, private_folder
from runner.edge.secrets import CredentialsProblem, read_secret
from runner.model.credentials import Credentials

DEFAULT_NAME = "default"
"""Where a credential without a name is kept."""

SERVICE = "altmarkets-runner"
PASSPHRASE = "RUNNER_PASSPHRASE"  # noqa: S105 - where it is, not what it is
CHOICE = "RUNNER_CREDENTIAL_STORE"
"""`keyring` or `file`; unset: the keyring if there is one that works."""

# 32 MiB and 0.15 s for each guess, as OWASP advises for scrypt with this much memory.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**15, 8, 3
_SCRYPT_BYTES_MAX = 2**27
_FILE_BYTES_MAX = 16_384

_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?")

AskPassphrase = Callable[[str], str]
"""Asks a person; only where there is a terminal."""


class Entry(Struct, frozen=True, kw_only=True):
    """A stored credential without its secret. `account` names the account of the key first stored here.

    `rest_url` is the exchange it was verified at; it is sent to no other. `stored_at` is UTC, ISO 8601.
    """

    name: str
    venue: str
    rest_url: str
    account: str
    key_hint: str  # the last four characters of the access key, so that a person can tell two apart
    stored_at: str
    store: Literal["keyring", "file"]


class _Sealed(Struct, frozen=True, kw_only=True):
    entry: Entry
    version: int = 1
    salt: str = ""
    nonce: str = ""
    box: str = ""
    n: int = SCRYPT_N
    r: int = SCRYPT_R
    p: int = SCRYPT_P


class Store:
    """`ask` is called when a passphrase is needed that the environment does not have."""

    def __init__(self, environment: Mapping[str, str], ask: AskPassphrase | None = None) -> None:
        self._environment = environment
        self._ask = ask

    def entries(self) -> list[Entry]:
        """By name. A damaged file is left out."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            with contextlib.suppress(CredentialsProblem):
                found.append(self._load(path).entry)
        return found

    def entry(self, name: str | None) -> Entry | None:
        path = self._path(name)
        return self._load(path).entry if path.exists() else None

    def load(self, name: str | None) -> Credentials | None:
        """The key of that name. Raises CredentialsProblem if it is there and cannot be had."""
        path = self._path(name)
        if not path.exists():
            return None
        sealed = self._load(path)
        text = self._from_keyring(sealed.entry) if sealed.entry.store == "keyring" else self._unseal(path, sealed)
        try:
            return Credentials(*msgspec.json.decode(text, type=tuple[str, str]))
        except msgspec.MsgspecError:
            raise CredentialsProblem(f"the stored key {sealed.entry.name} is damaged; {_anew(sealed.entry)}") from None

    def save(self, entry: Entry, key: Credentials) -> Entry:
        """Keep a key, in place of one with that name. Raises CredentialsProblem."""
        entry = structs.replace(entry, name=checked_name(entry.name), store=self.place())
        secret = msgspec.json.encode((key.access_key, key.secret_key))
        if entry.store == "keyring":
            _keyring_call("set_password", SERVICE, _user(entry), secret.decode())
            sealed = _Sealed(entry=entry)
        else:
            sealed = _seal(entry, secret, self._passphrase(f"Passphrase for the new key {entry.name}", new=True))
        try:
            private_folder(self._folder)
            _replace(self._path(entry.name), msgspec.json.format(msgspec.json.encode(sealed), indent=2))
        except OSError as error:
            raise CredentialsProblem(f"{self._folder} cannot be written: {error.strerror or error}") from error
        return entry

    def remove(self, name: str | None) -> bool:
        """Forget a key. False if there is none of that name."""
        path = self._path(name)
        if not path.exists():
            return False
        with contextlib.suppress(CredentialsProblem):  # a damaged file can still be removed
            entry = self._load(path).entry
            if entry.store == "keyring":
                _keyring_call("delete_password", SERVICE, _user(entry))
        path.unlink(missing_ok=True)
        return True

    def place(self) -> Literal["keyring", "file"]:
        """Where a new key is kept. Raises CredentialsProblem for a keyring that is asked for and does not work."""
        match self._environment.get(CHOICE, ""):
            case "file":
                return "file"
            case "keyring":
                if not _keyring_usable():
                    raise CredentialsProblem(f"{CHOICE}=keyring, but this machine has no keyring that works")
                return "keyring"
            case "":
                return "keyring" if _keyring_usable() else "file"
        raise CredentialsProblem(f"{CHOICE} is neither keyring nor file")

    # Files -----------------------------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return config_root(self._environment) / "credentials"

    def _path(self, name: str | None) -> Path:
        return self._folder / f"{checked_name(name)}.json"

    def _load(self, path: Path) -> _Sealed:
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(_FILE_BYTES_MAX), type=_Sealed)
        except OSError as error:
            raise CredentialsProblem(f"{path} cannot be read: {error.strerror}; check its rights") from error
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise CredentialsProblem(
                f"{path} is damaged; remove it (runner connect --remove --name {path.stem}) and connect again"
            ) from None

    def _unseal(self, path: Path, sealed: _Sealed) -> bytes:
        passphrase = self._passphrase(f"Passphrase of the key {sealed.entry.name}")
        opened = _open_box(sealed, passphrase)
        if opened is None:
            raise CredentialsProblem(
                f"the passphrase does not open {path}: it is wrong, or the file was changed; {_anew(sealed.entry)}"
            )
        return opened

    def _passphrase(self, prompt: str, *, new: bool = False) -> str:
        found = read_secret(PASSPHRASE, self._environment)
        if found is not None:
            return found
        if self._ask is None:
            verb = "encrypt" if new else "open"
            raise CredentialsProblem(
                f"a passphrase is needed to {verb} the stored key, and there is no terminal to ask on: set "
                f"{PASSPHRASE} or {PASSPHRASE}_FILE, or give systemd the credential {PASSPHRASE.lower()}"
            )
        passphrase = self._ask(prompt)
        if not passphrase:
            raise CredentialsProblem("the passphrase is empty")
        return passphrase

    def _from_keyring(self, entry: Entry) -> bytes:
        secret = _keyring_call("get_password", SERVICE, _user(entry))
        if secret is None:
            raise CredentialsProblem(f"the keyring does not have the key {entry.name} any more; {_anew(entry)}")
        return str(secret).encode()


def checked_name(name: str | None) -> str:
    """The name under which a credential is kept. Raises CredentialsProblem."""
    found = (name or DEFAULT_NAME).lower()
    if not _NAME.fullmatch(found):
        raise CredentialsProblem(
            f"{name!r} cannot name a credential; use up to 40 letters, digits, dashes and underscores, such as 'main'"
        )
    return found


def _anew(entry: Entry) -> str:
    return f"store it anew with runner connect altmarkets --name {entry.name}"


def _user(entry: Entry) -> str:
    return f"{entry.name}@{entry.rest_url}"


def _replace(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all, closed to others from its first byte."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


# Sealing --------------------------------------------------------------------------------------------------


def _seal(entry: Entry, secret: bytes, passphrase: str) -> _Sealed:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    sealed = _Sealed(entry=entry, salt=_text(salt), nonce=_text(nonce))
    return structs.replace(sealed, box=_text(_cipher(sealed, passphrase).encrypt(nonce, secret, _associated(sealed))))


def _open_box(sealed: _Sealed, passphrase: str) -> bytes | None:
    """None if the passphrase is wrong or anything in the file was changed: the seal does not say which."""
    from cryptography.exceptions import InvalidTag

    try:
        nonce, box = (base64.b64decode(text, validate=True) for text in (sealed.nonce, sealed.box))
        opened: bytes = _cipher(sealed, passphrase).decrypt(nonce, box, _associated(sealed))
    except (InvalidTag, ValueError):
        return None
    return opened


def _cipher(sealed: _Sealed, passphrase: str) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # 16 MB: only for who needs it

    if 128 * sealed.n * sealed.r > _SCRYPT_BYTES_MAX or sealed.p > 64:
        raise ValueError("this would take more memory than any file of ours")
    key = hashlib.scrypt(
        passphrase.encode(errors="surrogateescape"),
        salt=base64.b64decode(sealed.salt, validate=True),
        n=sealed.n,
        r=sealed.r,
        p=sealed.p,
        maxmem=_SCRYPT_BYTES_MAX + 2**20,
        dklen=32,
    )
    return ChaCha20Poly1305(key)


def _associated(sealed: _Sealed) -> bytes:
    """All of the file but the box itself."""
    return msgspec.json.encode(structs.replace(sealed, box=""))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Keyring --------------------------------------------------------------------------------------------------


def _keyring_usable() -> bool:
    """Whether there is a backend that keeps things: the ones that fail or forget do not count."""
    try:
        import keyring

        backend = keyring.get_keyring()
        module = type(backend).__module__
        return backend.priority >= 1 and not module.endswith((".fail", ".null"))
    except Exception:  # noqa: BLE001 - backends are plugins and may raise anything
        return False


def _keyring_call(verb: str, *arguments: str) -> Any:
    import keyring

    try:
        return getattr(keyring, verb)(*arguments)
    except Exception as error:  # noqa: BLE001 - backends are plugins and may raise anything
        if verb == "delete_password":
            return None
        # Not the backend's own words: nobody knows what it puts into them.
        raise CredentialsProblem(
            f"the keyring did not answer ({type(error).__name__}); unlock it, or set {CHOICE}=file"
        ) from None
