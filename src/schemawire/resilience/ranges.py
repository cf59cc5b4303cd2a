"""Range checks for options, so that every policy refuses a bad value in the same words; knows no policy."""

import math
from dataclasses import fields
from typing import Any

from schemawire.errors import ConfigurationInvalid


def require_number(
    options: object, field: str, *, low: float, high: float = math.inf, above: bool = False, optional: bool = False
) -> None:
    """Check that a field of `options` is a finite number in range (an infinite one only where `high` is infinite).

    Args:
        options: the options value; its class names the setting in the message.
        field: the name of the field.
        low: the smallest allowed value, itself allowed unless `above` is true.
        high: the largest allowed value.
        above: whether `low` itself is refused.
        optional: whether `None` is allowed too.

    Raises:
        ConfigurationInvalid: not a number, not a number's value (NaN), or out of range.
    """
    value = getattr(options, field)
    if value is None and optional:
        return
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits or (above and value == low):
        kind = "a number" + (" or None" if optional else "")
        _refuse(options, field, value, f"{kind} {'above' if above else 'from'} {low:g} {_up_to(high)}")


def require_count(options: object, field: str, *, low: int = 0, high: int = 1_000_000) -> None:
    """Check that a field of `options` is a whole number from `low` to `high`.

    Raises:
        ConfigurationInvalid: not a whole number, or out of range.
    """
    value = getattr(options, field)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        _refuse(options, field, value, f"a whole number from {low} {_up_to(high)}")


def require_order(options: object, lower: str, upper: str) -> None:
    """Check that one field of `options` does not exceed another.

    Raises:
        ConfigurationInvalid: the field `lower` is larger than the field `upper`.
    """
    low, high = getattr(options, lower), getattr(options, upper)
    if low > high:
        raise ConfigurationInvalid(
            f"{type(options).__name__}.{lower}={low!r} is larger than {upper}={high!r}",
            fix=f"Lower `{lower}` or raise `{upper}`.",
        )


def require_kind(options: object, field: str, kind: type) -> None:
    """Check that a field of `options` is of the given class.

    Raises:
        ConfigurationInvalid: it is of another class.
    """
    value = getattr(options, field)
    if not isinstance(value, kind):
        _refuse(options, field, value, f"a {kind.__name__}")


def show(options: Any) -> str:
    """Return the fields of an options value as `name=value` pairs, for `describe()`."""
    return " ".join(f"{field.name}={_shown(getattr(options, field.name))}" for field in fields(options) if field.init)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(getattr(value, "value", value))


def _up_to(high: float) -> str:
    return "up" if high == math.inf else f"to {high:g}"


def _refuse(options: object, field: str, value: object, wanted: str) -> None:
    raise ConfigurationInvalid(
        f"{type(options).__name__}.{field}={value!r} must be {wanted}",
        fix=f"Set `{field}` to {wanted}.",
    )
