"""Sizes as Docker's flags take them, `200m`, and as its tables show them, `4.26MB`.

In input, a unit is a power of 1024 (k, m, g, t, p, with or without `b` or `ib`, in either case); in
output, one of 1000.  Docker does so, by the go-units library.
"""

from labkit.errors import InvalidParameterError

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DECIMAL_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def parse_size(text: str) -> int:
    """Return the bytes of `200m`, `1.5g`, `30mb`, `64KiB` or `1048576`.

    `-1` means unlimited where a limit may be, and stays -1.  InvalidParameterError otherwise.
    """
    if text == "-1":
        return -1
    unit = text.lstrip("0123456789.")
    number = text[: len(text) - len(unit)]
    word = unit.strip().lower()
    power = word[:-2] if word.endswith("ib") and len(word) == 3 else word.removesuffix("b")
    try:
        return int(float(number) * 1024 ** _POWERS[power])
    except (KeyError, ValueError, OverflowError):
        raise InvalidParameterError(f"invalid size: '{text}'") from None


def human_size(size_bytes: int) -> str:
    """Return the size with three significant digits and a decimal unit: `4.26MB`."""
    value = float(size_bytes)
    for unit in _DECIMAL_UNITS:
        if value < 999.5 or unit == _DECIMAL_UNITS[-1]:
            break
        value /= 1000
    return f"{value:.3g}{unit}"
