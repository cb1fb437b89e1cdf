"""What is worth a message: rules, one after another in the file of a site."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rail_watch.observe.words import TERMS
from rail_watch.watch.config import Table

KINDS = (
    "train-arrived", "train-departed", "cargo-arrived", "cargo-departed", "bridge", "change", "novelty", "nothing-seen",
)  # fmt: skip
WORDS = tuple(term for _, _, term in TERMS)


@dataclass(frozen=True)
class Rule:
    """What is told, and where to."""

    what: tuple[str, ...] = KINDS
    at_least: str = "likely"
    """ICD 203 term."""
    least_length_m: float = 0.0
    least_railcars: int = 0
    least_area_m2: float = 0.0
    nothing_seen_days: float = 14.0
    """Days without a clear look after which a site is told of."""
    channels: tuple[str, ...] = ("feed",)
    digest: bool = False
    """One message for each check and channel instead of one for each thing."""
    quiet: tuple[time, time] | None = None
    """From and to, on the clock of `zone`; what happens then is sent afterwards."""
    zone: str = "UTC"

    def quiet_until(self, now: datetime) -> datetime:
        """Return when a message of now may be sent: now, or the end of the quiet hours."""
        if self.quiet is None:
            return now
        first, last = self.quiet
        local = now.astimezone(ZoneInfo(self.zone))
        clock = local.time()
        inside = first <= clock < last if first <= last else clock >= first or clock < last
        if not inside:
            return now
        # The wall clock's own date and hour: where clocks are set in this night, the quiet ends by the new clock.
        end = local.replace(hour=last.hour, minute=last.minute, second=0, microsecond=0)
        if end <= local:
            end = (local.replace(tzinfo=None) + timedelta(days=1)).replace(
                hour=last.hour, minute=last.minute, second=0, microsecond=0, tzinfo=ZoneInfo(self.zone)
            )
        return end.astimezone(now.tzinfo)


DEFAULT_RULES = (Rule(),)


def rule_of(table: Table) -> Rule:
    """Read one rule.

    Raises
    ------
    BadInput
        With the member that is wrong.
    """
    plain = Rule()
    cars = table.number("least_railcars", 0, least=0, most=1000)
    quiet = table.words("quiet", ())
    rule = Rule(
        what=table.words("what", plain.what, KINDS),
        at_least=table.choice("at_least", plain.at_least, WORDS),
        least_length_m=table.number("least_length_m", 0.0, least=0, most=100_000) or 0.0,
        least_railcars=int(cars or 0),
        least_area_m2=table.number("least_area_m2", 0.0, least=0, most=1e9) or 0.0,
        nothing_seen_days=table.number("nothing_seen_days", 14.0, least=1, most=3650) or 14.0,
        channels=table.words("channels", plain.channels),
        digest=table.flag("digest", False),
        quiet=_hours(table, quiet),
        zone=_zone(table),
    )
    table.done()
    return rule


def _hours(table: Table, quiet: tuple[str, ...]) -> tuple[time, time] | None:
    if not quiet:
        return None
    try:
        first, last = (time.fromisoformat(one) for one in quiet)
    except ValueError:
        raise table.fault("quiet", 'two times of day, ["22:00", "06:00"]') from None
    if first == last or first.tzinfo or last.tzinfo:
        raise table.fault("quiet", 'two different times of day, ["22:00", "06:00"]')
    return first, last


def _zone(table: Table) -> str:
    name = table.text("zone", "UTC") or "UTC"
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise table.fault("zone", "an IANA name such as Asia/Seoul") from None
    return name
