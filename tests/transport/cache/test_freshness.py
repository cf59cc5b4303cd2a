"""A response that is served without asking is fresh by a model that was written from the RFC alone."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.transport.cache.origin import START

from schemawire.errors import ConfigurationInvalid
from schemawire.transport import CacheConfig, Headers
from schemawire.transport.cache_control import directives_of, members
from schemawire.transport.entry import Entry
from schemawire.transport.freshness import Use, decide, initial_age, request_directives
from schemawire.transport.http_date import format_date, parse_date

Drawn = dict[str, Any]
SECONDS = st.one_of(st.none(), st.integers(0, 200))
FLAGS = st.sets(st.sampled_from(["no-cache", "must-revalidate", "proxy-revalidate", "public", "immutable"]))


@st.composite
def responses(draw: st.DrawFn) -> Drawn:
    """What a response may say about its freshness, as plain values."""
    return {
        "flags": draw(FLAGS),
        "max-age": draw(SECONDS),
        "s-maxage": draw(SECONDS),
        "swr": draw(SECONDS),
        "expires": draw(st.one_of(st.none(), st.integers(-100, 200))),
        "modified": draw(st.one_of(st.none(), st.integers(-2000, 0))),
        "age": draw(SECONDS),
        "date": draw(st.integers(-100, 20)),
        "delay": draw(st.integers(0, 20)),
    }


@st.composite
def requests(draw: st.DrawFn) -> Drawn:
    """What a request may ask for."""
    return {
        "max-age": draw(SECONDS),
        "min-fresh": draw(SECONDS),
        "max-stale": draw(SECONDS),
        "no-cache": draw(st.booleans()),
    }


def fields_of(told: Drawn, now: float) -> Headers:
    parts = sorted(told["flags"])
    parts += [f"{name}={told[name]}" for name in ("max-age", "s-maxage") if told[name] is not None]
    parts += [f"stale-while-revalidate={told['swr']}"] if told["swr"] is not None else []
    pairs = [("Date", format_date(now + told["date"]))]
    pairs += [("Cache-Control", ", ".join(parts))] if parts else []
    pairs += [("Expires", format_date(now + told["expires"]))] if told["expires"] is not None else []
    pairs += [("Last-Modified", format_date(now + told["modified"]))] if told["modified"] is not None else []
    pairs += [("Age", str(told["age"]))] if told["age"] is not None else []
    return Headers(pairs)


def model_lifetime(told: Drawn, shared: bool) -> float:
    """RFC 9111 §4.2.1 and §4.2.2, in the RFC's own order."""
    if shared and told["s-maxage"] is not None:
        return float(told["s-maxage"])
    if told["max-age"] is not None:
        return float(told["max-age"])
    if told["expires"] is not None:
        return float(max(0, told["expires"] - told["date"]))
    if told["modified"] is not None:
        return max(0.0, float(told["date"] - told["modified"]) / 10)
    return 0.0


@given(told=responses(), asked=requests(), later=st.integers(0, 300), shared=st.booleans())
@settings(max_examples=400, deadline=None)
def test_what_is_served_without_asking_is_allowed_by_the_model(
    told: Drawn, asked: Drawn, later: int, shared: bool
) -> None:
    """FRESH, STALE and REFRESH appear exactly where the model allows them."""
    headers = fields_of(told, START)
    entry = Entry(
        status=200, headers=headers, body=b"", url="", partition="", selecting=(), received_at=START,
        initial_age=initial_age(headers, START - told["delay"], START),
    )  # fmt: skip
    parts = [f"{name}={asked[name]}" for name in ("max-age", "min-fresh", "max-stale") if asked[name] is not None]
    wanted = request_directives(Headers({"Cache-Control": ", ".join([*parts, *["no-cache"] * asked["no-cache"]])}))
    decision = decide(entry, wanted, START + later, CacheConfig(shared=shared))

    age = max(max(0, -told["date"]), (told["age"] or 0) + told["delay"]) + later
    ttl = model_lifetime(told, shared) - age
    assert decision.age == age
    assert decision.ttl == pytest.approx(ttl)
    bound = told["flags"] & {"no-cache", "must-revalidate"} or (
        shared and (told["s-maxage"] is not None or "proxy-revalidate" in told["flags"])
    )
    refused = (
        asked["no-cache"]
        or (asked["max-age"] is not None and age > asked["max-age"])
        or (asked["min-fresh"] is not None and ttl < asked["min-fresh"] - 1e-9)
    )
    if refused or "no-cache" in told["flags"]:
        expected = Use.VALIDATE
    elif ttl > 0:
        expected = Use.FRESH
    elif bound:
        expected = Use.VALIDATE
    elif asked["max-stale"] is not None and -ttl <= asked["max-stale"]:
        expected = Use.STALE
    else:
        expected = Use.REFRESH if -ttl < (told["swr"] or 0) else Use.VALIDATE
    assert decision.use is expected


def test_a_clock_that_was_set_back_makes_nothing_fresh() -> None:
    """A response from the future is of unknown age, so it is validated."""
    headers = Headers({"Cache-Control": "max-age=60"})
    entry = Entry(
        status=200, headers=headers, body=b"", url="", partition="", selecting=(), received_at=START, initial_age=0.0
    )
    assert decide(entry, request_directives(Headers()), START - 1, CacheConfig()).use is Use.VALIDATE


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_list_of_directives(text: str) -> None:
    """Hostile values are read without an error, and nothing in quotes becomes a directive."""
    directives = directives_of(Headers.received([("Cache-Control", text)]))
    assert (directives.seconds("max-age") or 0) >= 0
    assert all(member for member in members(text))
    assert '"' in text or len(list(members(text))) == sum(1 for part in text.split(",") if part.strip())


@given(st.integers(0, 4_000_000_000))
def test_a_written_date_is_read_back(instant: int) -> None:
    """Dates survive the round trip to the second."""
    assert parse_date(format_date(instant), START) == instant


@given(st.text(max_size=80))
def test_any_text_is_a_date_or_none(text: str) -> None:
    """Hostile dates are read without an error."""
    assert parse_date(text, START) is None or isinstance(parse_date(text, START), float)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_bytes": -1}, "max_bytes"),
        ({"max_bytes": 10, "max_entry_bytes": 11}, "max_entry_bytes"),
        ({"heuristic_fraction": 1.5}, "heuristic_fraction"),
        ({"stale_if_error": -1.0}, "stale_if_error"),
        ({"max_refreshes": -1}, "max_refreshes"),
        ({"name": "a;b"}, "name"),
        ({"name": ""}, "name"),
        ({"shared": 1}, "shared"),
    ],
)
def test_options_out_of_range_are_refused(options: Drawn, named: str) -> None:
    """The message names the option and what is allowed."""
    with pytest.raises(ConfigurationInvalid, match=named):
        CacheConfig(**options)
