"""Client order ids: a pure function of (tag, epoch, slot, generation), and back.

`R` + tag(6) + epoch(5) + `-` + SLOT(1..12) + `-` + generation(1..4), at most 30 characters of `[A-Z0-9-]`.
Slots may hold dashes themselves, so an id is read from both ends. Source: orders.md rules 1 and 2.
"""

import base64
import hashlib
import re

from msgspec import Struct

GENERATION_MAX = 36**4 - 1
EPOCH_MAX = 36**5 - 1  # UTC minutes: reached in the year 2084

FLATTEN = "flatten"
"""The slot in which a stop gets out of a position; no strategy may declare it."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SLOT = re.compile(r"[a-z0-9-]{1,12}")
_ID = re.compile(r"R([A-Z2-7]{6})([0-9A-Z]{5})-([A-Z0-9-]{1,12})-(0|[1-9A-Z][0-9A-Z]{0,3})")


class ClientId(Struct, frozen=True):
    """What a client order id says. `epoch` is the UTC minute in which the journal was created."""

    tag: str
    epoch: int
    slot: str
    generation: int

    def __str__(self) -> str:
        return f"R{self.tag}{_base36(self.epoch).rjust(5, '0')}-{self.slot.upper()}-{_base36(self.generation)}"


def client_id(tag: str, epoch: int, slot: str, generation: int) -> str:
    """Name one order. Raises ValueError for anything that has no name, such as the 1,679,617th order of a slot."""
    if not re.fullmatch(r"[A-Z2-7]{6}", tag):
        raise ValueError(f"tag {tag!r} is not six characters of base 32")
    if not valid_slot(slot):
        raise ValueError(f"slot {slot!r} is not one to twelve characters of a-z, 0-9 and dash")
    if not 0 <= epoch <= EPOCH_MAX:
        raise ValueError(f"epoch {epoch} is not a UTC minute before 2084")
    if not 0 <= generation <= GENERATION_MAX:
        raise ValueError(f"slot {slot!r} has used all of its {GENERATION_MAX + 1} names: begin a new journal")
    return str(ClientId(tag, epoch, slot, generation))


def parse_client_id(text: str) -> ClientId | None:
    """Read an id of ours; None for anything that `client_id` cannot have written."""
    match = _ID.fullmatch(text)
    if match is None:
        return None
    tag, epoch, slot, generation = match.groups()
    return ClientId(tag, int(epoch, 36), slot.lower(), int(generation, 36))


def account_tag(fingerprint: str, name: str) -> str:
    """Six characters that tell this strategy on this account from all others (30 bits)."""
    digest = hashlib.blake2b(f"{fingerprint}\0{name}".encode(), digest_size=20).digest()
    return base64.b32encode(digest).decode()[:6]


def account_fingerprint(rest_origin: str, access_key: str) -> str:
    """Name an account without naming its key: sixteen hex characters."""
    return hashlib.blake2b(f"{rest_origin}\0{access_key}".encode(), digest_size=8).hexdigest()


def valid_slot(slot: str) -> bool:
    return _SLOT.fullmatch(slot) is not None


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits
