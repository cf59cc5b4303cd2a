"""HTTP dates, read strictly and written in the one form that is sent; knows no field by name."""

import re
from calendar import timegm
from email.utils import formatdate
from functools import lru_cache

# RFC 9110 §5.6.7: IMF-fixdate, then the two obsolete forms. RFC 9111 §4.2 asks caches to ignore case, and to take any
# zone but GMT and UTC as invalid.
_MONTH = "(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} (?:GMT|UTC)",
        rf"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} (?:GMT|UTC)",
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_MONTH} (?P<day>[\d ]\d) {_TIME} (?P<year>\d{{4}})",
    )
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONGEST = 64


@lru_cache(maxsize=1024)
def _absolute(text: str) -> tuple[float, bool] | None:
    """Return seconds since 1970 and whether the year had two digits only."""
    for form in _FORMS:
        found = form.fullmatch(text)
        if found is not None:
            break
    else:
        return None
    year, month = int(found["year"]), _MONTHS.index(found["month"].lower()) + 1
    day, hour, minute, second = (int(found[name]) for name in ("day", "hour", "minute", "second"))
    if not (1 <= day <= 31 and hour <= 23 and minute <= 59 and second <= 60):
        return None
    short = len(found["year"]) == 2
    return float(timegm((year + 2000 if short else year, month, day, hour, minute, second))), short


def parse_date(text: str | None, now: float) -> float | None:
    """Return the seconds since 1970 that an HTTP date names, or `None` if it is none.

    Args:
        text: the value of a field such as `Expires`.
        now: seconds since 1970; a two-digit year is read as the last century once it lies 50 years ahead.

    *Source:* RFC 9110 §5.6.7.
    """
    if text is None or len(text) > _LONGEST:
        return None
    found = _absolute(text.strip())
    if found is None:
        return None
    instant, short = found
    half_century = 50 * 365.25 * 86_400
    return instant - 2 * half_century if short and instant > now + half_century else instant


def format_date(instant: float) -> str:
    """Return seconds since 1970 as an IMF-fixdate."""
    return formatdate(instant, usegmt=True)
