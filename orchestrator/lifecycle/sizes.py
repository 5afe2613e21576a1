"""Sizes with units, as operators write them, into bytes and bits per second."""

import re

from orchestrator.lifecycle.errors import RuleError

BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50,
         "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}
BITS_PER_SECOND = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9}
DURATIONS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_NUMBER_AND_UNIT = re.compile(r"([0-9]{1,15}) ?([A-Za-z/]+)")


def _parse(text: object, units: dict[str, int], what: str, example: str) -> int:
    match = _NUMBER_AND_UNIT.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in units:
        raise RuleError("bad_size", f"{what} {text!r} is not a whole number with one of {', '.join(units)}"
                                    f" (for example {example})")
    value = int(match[1]) * units[match[2]]
    if not 0 < value < 2**63:
        raise RuleError("bad_size", f"{what} {text!r} is zero or too large")
    return value


def size(text: object) -> int:
    """Bytes of `48MiB`, `100GiB`. Raises RuleError."""
    return _parse(text, BYTES, "size", "100GiB")


def rate(text: object) -> int:
    """Bits per second of `20Mbit/s`. Raises RuleError."""
    return _parse(text, BITS_PER_SECOND, "rate", "20Mbit/s")


def duration(text: object) -> int:
    """Seconds of `24h`, `90m`, `30s`, `7d`. Raises RuleError."""
    return _parse(text, DURATIONS, "duration", "24h")


def show_size(value: int) -> str:
    """The largest binary unit that divides the bytes evenly: 50331648 is `48MiB`."""
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        if value % BYTES[unit] == 0 and value:
            return f"{value // BYTES[unit]}{unit}"
    return f"{value}B"


def show_rate(value: int) -> str:
    """The largest unit that divides the rate evenly: 20000000 is `20Mbit/s`."""
    for unit in ("Gbit/s", "Mbit/s", "kbit/s"):
        if value % BITS_PER_SECOND[unit] == 0 and value:
            return f"{value // BITS_PER_SECOND[unit]}{unit}"
    return f"{value}bit/s"
