"""Parameters of a request, read as the exchange reads them: every rule that is broken adds its code.

Source: wire reference 1 (JSON, forms and queries), 12 (codes).
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
# What has more digits or another size than any amount on earth is not read as an amount.
_DIGITS_MAX = 50
_SIZE_MAX = 40
_JSON = msgspec.json.Decoder(float_hook=Decimal)


class NotReadable(Exception):
    """The body is not what its content type says."""


class Parameters:
    """Named values, texts or JSON's own. Every reader returns a usable value and notes in `errors` what was wrong."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.errors: list[str] = []

    def has(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """None where it is missing, null, or not a text."""
        value = self._values.get(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str) -> list[str]:
        """A value that may be repeated as `name[]`."""
        value = self._values.get(name, self._values.get(name + "[]", ()))
        return [str(item) for item in (value if isinstance(value, list | tuple) else [value])]

    def mapping(self, name: str, *, code: str) -> dict[str, str]:
        """Texts by name, from a JSON object or the text of one."""
        value = self._values.get(name, {})
        try:
            return msgspec.convert(_JSON.decode(value) if isinstance(value, str) else value, dict[str, str])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.errors.append(code)
            return {}

    def one_of(
        self, name: str, allowed: tuple[str, ...], code: str, default: str | None = None, *, required: bool = False
    ) -> str | None:
        """One of some words; a missing one is the default, or wrong if it is required."""
        if not self.has(name) and not required:
            return default
        value = self.text(name)
        if value not in allowed:
            self.errors.append(code)
            return default
        return value

    def integer(self, name: str, default: int, low: int, high: int, *, code: str, noun: str | None = None) -> int:
        """A number between bounds. The codes are `CODE.non_integer_NOUN` and `CODE.invalid_NOUN`."""
        noun = noun or name
        if not self.has(name):
            return default
        number = _integer(self._values[name])
        if number is None:
            self.errors.append(f"{code}.non_integer_{noun}")
            return default
        if not low <= number <= high:
            self.errors.append(f"{code}.invalid_{noun}")
            return default
        return number

    def optional_integer(self, name: str, *, code: str) -> int | None:
        """A number without bounds. The codes are `CODE.empty_NAME` and `CODE.non_integer_NAME`."""
        if not self.has(name):
            return None
        value = self._values[name]
        if value is None or value == "":
            self.errors.append(f"{code}.empty_{name}")
            return None
        number = _integer(value)
        if number is None:
            self.errors.append(f"{code}.non_integer_{name}")
        return number

    def page(self, *, code: str) -> int:
        return max(1, self.optional_integer("page", code=code) or 1)

    def decimal(self, name: str, *, code: str) -> Decimal | None:
        """A decimal above zero. The codes are `CODE.missing_NAME`, `.non_decimal_NAME`, `.non_positive_NAME`."""
        if not self.has(name):
            self.errors.append(f"{code}.missing_{name}")
            return None
        number = _decimal(self._values[name])
        if number is None:
            self.errors.append(f"{code}.non_decimal_{name}")
        elif number <= 0:
            self.errors.append(f"{code}.non_positive_{name}")
        return number


def read_parameters(query: str, content_type: str, body: bytes) -> Parameters:
    """Query and body together; the body wins. Raises NotReadable."""
    values = _form(query)
    if body.strip():
        if "application/x-www-form-urlencoded" in content_type:
            values |= _form(body.decode(errors="replace"))
        else:
            values |= _json_object(body)
    return Parameters(values)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        message = _JSON.decode(body)
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError):
        raise NotReadable from None
    return message if isinstance(message, dict) else {}


def _form(text: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name.endswith("[]"):
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    return values


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return int(value) if _INTEGER.fullmatch(str(value)) else None


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    text = str(value).strip()
    if len(text) > 2 * _DIGITS_MAX or not _DECIMAL.fullmatch(text):
        return None
    number = Decimal(text)
    too_long = len(number.as_tuple().digits) > _DIGITS_MAX or abs(number.adjusted()) > _SIZE_MAX
    return None if too_long else number
