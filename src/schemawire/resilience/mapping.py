"""Reads options from plain mappings, such as a TOML table or the environment; knows options only by their fields."""

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from schemawire.errors import ConfigurationInvalid

O = TypeVar("O")  # noqa: E741  # the type of the options

_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_NONE = frozenset({"none", "off", ""})


def options_from(kind: type[O], values: Mapping[str, object], *, where: str) -> O:
    """Return options read from a mapping by the names of their fields.

    Texts are converted to what the field wants (`"5"` → 5, `"full_jitter"` → the enum's member, `"none"` → `None`), so
    that the environment will do; anything else is taken as it is.

    Args:
        kind: the class of the options, a dataclass.
        values: field name → value; names may be in capitals.
        where: what messages call the mapping, such as `pipelines.orders.retry`.

    Raises:
        ConfigurationInvalid: an unknown name, a name given twice or missing, a text that cannot be converted, or a
            value out of range.
    """
    hints = get_type_hints(kind)
    known = {field.name: hints[field.name] for field in fields(kind) if field.init}  # type: ignore[arg-type]  # a dataclass
    read: dict[str, object] = {}
    for given, value in values.items():
        name = str(given).lower()
        if name not in known:
            raise unknown_name(str(given), list(known), where=where)
        if name in read:
            raise ConfigurationInvalid(f"{where}.{name} is given twice", fix="Keep one of them.")
        read[name] = convert(value, known[name], where=f"{where}.{name}")
    missing = [field.name for field in fields(kind) if _is_required(field) and field.name not in read]  # type: ignore[arg-type]  # a dataclass
    if missing:
        raise ConfigurationInvalid(
            f"{where} lacks {', '.join(missing)}", fix="Give what is missing; it has no default."
        )
    return kind(**read)


def _is_required(field: "Field[object]") -> bool:
    return field.init and field.default is MISSING and field.default_factory is MISSING


def unknown_name(given: str, known: list[str], *, where: str) -> ConfigurationInvalid:
    """Return the error for a name that means nothing, with the nearest one that does."""
    near = difflib.get_close_matches(given.lower(), known, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return ConfigurationInvalid(f"{where} has no {given!r}", fix=f"{meant}Known: {', '.join(known)}.")


def convert(value: object, wanted: Any, *, where: str) -> object:
    """Return a text as what `wanted` (a type, an enum or a union of them) asks for; other values unchanged.

    Raises:
        ConfigurationInvalid: the text does not fit.
    """
    kinds = get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if NoneType in kinds and text.lower() in _NONE:
        return None
    for kind in kinds:
        found = _read(text, kind)
        if found is not None:
            return found
    raise ConfigurationInvalid(f"{where}={value!r} is not {_spelled(kinds)}", fix=f"Give {_spelled(kinds)}.")


def _read(text: str, kind: Any) -> object:
    """Return the text as a value of one kind, or `None` if it is not one."""
    lower = text.lower()
    if kind is bool:
        return True if lower in _TRUE else False if lower in _FALSE else None
    if kind in (int, float):
        try:
            number: object = kind(text)
        except ValueError:
            return None
        return number
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next((member for member in kind if member.value == lower), None)
    return text if kind is str else None


def _spelled(kinds: tuple[Any, ...]) -> str:
    return " or ".join(_spelled_one(kind) for kind in kinds)


def _spelled_one(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(repr(member.value) for member in kind)
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "none"}
    return words.get(kind, f"a table of {getattr(kind, '__name__', kind)}")
