"""The two texts that let us act for an account. They are never shown: not in a log, a report or a traceback."""

from typing import Any

from msgspec import Struct


class Credentials(Struct, frozen=True):
    """An API key. `access_key` names it, `secret_key` signs with it (wire reference 2.1)."""

    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return "Credentials(access_key=<hidden>, secret_key=<hidden>)"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # msgspec's own hands rich the keys
        return [("access_key", "<hidden>"), ("secret_key", "<hidden>")]
