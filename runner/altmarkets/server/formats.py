"""How the exchange writes numbers and times. Source: wire reference 1.1, 1.2."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from email.utils import format_datetime

from runner.model.money import plain

SECOND = 1_000_000_000


def decimal_text(value: Decimal) -> str:
    """Plain notation, no trailing zeros, but always a fraction: `7000.0`, `0.000001`, `0.0`."""
    text = plain(value)
    return text if "." in text else text + ".0"


def scaled_text(units: int, precision: int) -> str:
    """The same for a whole number of 10^-precision, not below zero."""
    whole, fraction = divmod(units, 10**precision)
    return f"{whole}.{str(fraction).zfill(precision).rstrip('0') or '0'}"


def seconds(nanoseconds: int) -> int:
    """Whole seconds since 1970: no message carries more."""
    return nanoseconds // SECOND


def iso_time(nanoseconds: int, offset_minutes: int = 0) -> str:
    """`2023-11-14T23:13:20+01:00`, or with `Z` in UTC."""
    zone = timezone(timedelta(minutes=offset_minutes))
    text = datetime.fromtimestamp(seconds(nanoseconds), zone).isoformat()
    return text.replace("+00:00", "Z")


def http_date(nanoseconds: int) -> str:
    """`Tue, 14 Nov 2023 22:13:20 GMT` (RFC 7231)."""
    return format_datetime(datetime.fromtimestamp(seconds(nanoseconds), UTC), usegmt=True)
