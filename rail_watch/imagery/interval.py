"""ISO 8601 times and intervals, as STAC writes them."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime

from rail_watch.errors import BadInput

Interval = tuple[datetime | None, datetime | None]
"""First and last instant, both included, aware and in UTC; None is open."""

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


def parse_time(text: str) -> datetime:
    """Return an aware UTC datetime; a time without a zone is taken as UTC.

    Raises
    ------
    ValueError
        Not an ISO 8601 date and time.
    """
    moment = datetime.fromisoformat(text.strip())
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    try:
        return aware.astimezone(UTC)
    except OverflowError as fault:
        raise ValueError(f"{text!r} lies outside the calendar") from fault


def _whole(text: str) -> tuple[datetime, datetime]:
    """Return the first and last instant of a year, month, day, or the one instant of a full time."""
    match = _DATE.fullmatch(text)
    if match is None:
        moment = parse_time(text)
        return moment, moment
    year, month, day = (int(part) if part else None for part in match.groups())
    first = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
    last_month = month or 12
    last_day = day or calendar.monthrange(first.year, last_month)[1]
    last = datetime(first.year, last_month, last_day, 23, 59, 59, 999_999, tzinfo=UTC)
    return first, last


def parse_interval(text: str) -> Interval:
    """Return the interval meant by ``2022-10-01/2022-12-31``, ``2022-10``, ``2022-10-01/..`` and the like.

    A date, month or year stands for all of it: an interval that ends on a date includes that day.

    Raises
    ------
    BadInput
        One line that says what was expected.
    """
    parts = [part.strip() for part in text.split("/")]
    if len(parts) > 2 or not any(parts):
        raise BadInput(_expected(text, "is not an interval"))
    ends = [None if part in ("", "..") else part for part in parts]
    try:
        first = None if ends[0] is None else _whole(ends[0])[0]
        last = None if ends[-1] is None else _whole(ends[-1])[1]
    except ValueError as fault:
        raise BadInput(_expected(text, f"is not ISO 8601 ({fault})")) from fault
    if first is not None and last is not None and first > last:
        raise BadInput(_expected(text, "ends before it begins"))
    return first, last


def _expected(text: str, what: str) -> str:
    return f"the interval {text[:80]!r} {what}; write it as 2022-10-01/2022-12-31, 2022-10 or 2022-10-01/.."


def within(moment: datetime, interval: Interval) -> bool:
    """Return whether a moment lies in an interval, its ends included."""
    first, last = interval
    return (first is None or moment >= first) and (last is None or moment <= last)
