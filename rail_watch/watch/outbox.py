"""The outbox: news that a rule asks for is kept with what caused it, and sent afterwards, until it has been sent.

Each alert has a key made of what it tells, so that it enters the outbox once however often its cause is found. It is
marked as sent after it was sent: a run killed in between sends it again, with the same key, by which the receiver
knows it.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from rail_watch.aoi.site import Site
from rail_watch.archive.store import Archive, Row, moment, packed
from rail_watch.observe.words import TERMS
from rail_watch.watch.news import News
from rail_watch.watch.night import Told
from rail_watch.watch.rules import Rule
from rail_watch.watch.sites import WatchedSite

SCHEMA = "rail-watch/alert/1"
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=5), timedelta(hours=12)
LONGEST_HOLD = timedelta(hours=26)
"""Neither waits nor quiet hours hold a message back for longer: one that is held was written by a clock gone wrong."""
MOST_AT_ONCE = 200
"""Messages sent on one channel in one run."""
_RANK = {term: number for number, (_, _, term) in enumerate(TERMS)}


class ChannelFault(Exception):
    """A channel did not take a message; it is tried again later."""


class Channel(Protocol):
    """What takes a message."""

    def send(self, messages: Sequence[Mapping[str, Any]], key: str) -> None:
        """Send one message, or several as a digest, under an idempotency key; ChannelFault when it was not taken."""


@dataclass(frozen=True)
class Sent:
    """What one round of sending did."""

    sent: int
    failed: int
    faults: tuple[str, ...]


def one_line(text: str) -> str:
    """Return text without control characters and without those that turn the direction of writing, on one line."""
    spaced = "".join(" " if letter.isspace() else letter for letter in text)
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    kept = "".join(letter for letter in spaced if unicodedata.category(letter) not in hidden)
    return " ".join(kept.split())


def wanted(rule: Rule, news: News) -> bool:
    """Return whether a rule asks for a piece of news."""
    if news.kind not in rule.what:
        return False
    if news.likelihood is not None and _RANK.get(news.likelihood, 0) < _RANK[rule.at_least]:
        return False
    if news.length_m is not None and news.length_m < rule.least_length_m:
        return False
    if rule.least_railcars and news.length_m is not None and (news.railcars or 0) < rule.least_railcars:
        return False
    return news.area_m2 is None or news.area_m2 >= rule.least_area_m2


def message_of(news: News, site: Site, told: Told, home: Path) -> dict[str, Any]:
    """Return what is sent of a piece of news; paths are seen from the home."""
    return {
        "schema": SCHEMA,
        "key": news.key,
        "kind": news.kind,
        "aoi": news.site,
        "name": one_line(site.name),
        "datetime": news.when.isoformat().replace("+00:00", "Z"),
        "simulated": news.simulated,
        "sentence": ("SIMULATED imagery. " if news.simulated else "") + one_line(news.sentence),
        "new_on_record": [one_line(sentence) for sentence in news.new_on_record],
        "cannot_tell": news.cannot_tell,
        "likelihood": news.likelihood,
        "length_m": None if news.length_m is None else round(news.length_m, 1),
        "railcars": news.railcars,
        "area_m2": None if news.area_m2 is None else round(news.area_m2, 1),
        "lonlat": None if news.lonlat is None else list(news.lonlat),
        "scene": news.scene,
        "observation": news.observation,
        "run": told.run,
        "picture": _seen_from(home, _picture(news, told.pictures)),
        "evidence": _seen_from(home, told.evidence and told.evidence / "detections.json"),
    }


def _picture(news: News, pictures: Sequence[Path]) -> Path | None:
    """Return the picture of the look, else the overview."""
    drawn = [path for path in pictures if path.suffix == ".png"]
    of_look = [path for path in drawn if path.name.startswith(f"{news.when:%Y-%m-%d-%H%M}")]
    return next(iter([*of_look, *(path for path in drawn if path.stem == "overview")]), None)


def _seen_from(home: Path, path: Path | None) -> str | None:
    if path is None:
        return None
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else str(path)


def teller(home: Path) -> Any:
    """Return what puts news into the outbox, inside the transaction that archives its cause."""

    def tell(archive: Archive, watched: WatchedSite, site: Site, news: Sequence[News], told: Told) -> None:
        for one in news:
            for rule in watched.rules:
                if wanted(rule, one):
                    _enter(archive, one, message_of(one, site, told, home), rule, told.now)

    return tell


def _enter(archive: Archive, news: News, message: Mapping[str, Any], rule: Rule, now: datetime) -> None:
    archive.do(
        "INSERT INTO alert (key, site, kind, datetime, created, message) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (news.key, news.site, news.kind, moment(news.when), moment(now), packed(message)),
    )
    number = archive.value("SELECT number FROM alert WHERE key = ?", (news.key,))
    for channel in rule.channels:
        archive.do(
            "INSERT INTO delivery (alert, channel, not_before, digest) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (number, channel, moment(rule.quiet_until(now)), int(rule.digest)),
        )


def wait_after(attempts: int) -> timedelta:
    """Return how long a message waits after so many attempts: 5 min, 10, 20 … at most 12 h."""
    doubled: int = 2 ** min(attempts - 1, 20)
    return min(FIRST_WAIT * doubled, LONGEST_WAIT)


def key_of(keys: Iterable[str]) -> str:
    """Return the idempotency key of a message, the same whenever it is sent again."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:32]


def send_all(archive: Archive, channels: Mapping[str, Channel], now: datetime) -> Sent:
    """Send what waits and may be sent now; what is not taken waits longer each time."""
    sent, failed, faults = 0, 0, []
    for name in [row["channel"] for row in archive.rows("SELECT DISTINCT channel FROM delivery WHERE sent IS NULL")]:
        channel = channels.get(name)
        if channel is None:
            faults.append(f"alerts wait for the channel {one_line(name)!r}, which channels.toml does not have")
            continue
        rows = archive.rows(
            "SELECT d.*, a.key, a.message FROM delivery AS d JOIN alert AS a ON a.number = d.alert WHERE d.channel = ? "
            "AND d.sent IS NULL AND (d.not_before <= ? OR d.not_before > ?) ORDER BY a.datetime, a.key LIMIT ?",
            (name, moment(now), moment(now + LONGEST_HOLD), MOST_AT_ONCE),
        )
        for group in _groups(rows):
            fault = _send(archive, channel, group, now)
            if fault is None:
                sent += len(group)
                continue
            failed += len(group)
            faults.append(f"{one_line(name)}: {fault}; it is tried again")
            break
    return Sent(sent, failed, tuple(faults))


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Return what goes into one message: each alert alone, or all of one run's that asked for a digest.

    By run, so that what is sent again after a kill is the same message under the same key, whatever came since.
    """
    together: dict[str, list[Row]] = {}
    for row in rows:
        if row["digest"]:
            together.setdefault(json.loads(row["message"])["run"], []).append(row)
    return [*([row] for row in rows if not row["digest"]), *together.values()]


def _send(archive: Archive, channel: Channel, group: Sequence[Row], now: datetime) -> str | None:
    """Send one message; return what went wrong, in words."""
    fault: str | None = None
    try:
        channel.send([json.loads(row["message"]) for row in group], key_of(row["key"] for row in group))
    except ChannelFault as error:
        fault = one_line(str(error))
    with archive.writing():
        for row in group:
            attempts = row["attempts"] + 1
            later = moment(now if fault is None else now + wait_after(attempts))
            archive.do(
                "UPDATE delivery SET attempts = ?, sent = ?, fault = ?, not_before = ? WHERE alert = ? AND channel = ?",
                (attempts, moment(now) if fault is None else None, fault, later, row["alert"], row["channel"]),
            )
    return fault
