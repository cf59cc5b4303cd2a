"""Says in text what a client's options are and where each came from; changes nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from schemawire.transport.routes import INHERIT, RouteOptions


def origin_lines(options: Any, known: Mapping[str, str]) -> Iterator[str]:
    """Yield one line for each option: its name, its value, and where that came from.

    Args:
        options: a record of policies' options; `None` for one that is off.
        known: where values came from, by `policy` or `policy.option`; where nothing is said, a value that differs from
            the default is an argument.
    """
    for policy in fields(options):
        value, told = getattr(options, policy.name), known.get(policy.name)
        if policy.name == "routes":
            continue
        if not is_dataclass(value):
            yield f"{policy.name} = {_shown(value)}{f'  ({told})' if told else ''}"
            continue
        defaults = _defaults(type(value))
        for option in fields(value):
            present = getattr(value, option.name)
            is_default = option.name in defaults and present == defaults[option.name]
            plain = "default" if is_default else told or "argument"
            name = f"{policy.name}.{option.name}"
            yield f"{name} = {_shown(present)}  ({known.get(name, plain)})"


def route_lines(routes: Mapping[str, RouteOptions]) -> Iterator[str]:
    """Yield one line for each route: what differs there."""
    for pattern, options in routes.items():
        own = [(field.name, getattr(options, field.name)) for field in fields(options)]
        given = [
            f"{name}={_shown(value)}"
            for name, value in own
            if value is not INHERIT and not (name == "total" and value is None)
        ]
        yield f"{pattern}: {', '.join(given) or 'as the client'}"


def _defaults(kind: type[Any]) -> dict[str, object]:
    try:
        made = kind()
    except TypeError:
        return {}  # An option without a default was certainly given.
    return {field.name: getattr(made, field.name) for field in fields(made)}


def _shown(value: object) -> str:
    return "off" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
