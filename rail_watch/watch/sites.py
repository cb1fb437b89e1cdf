"""The sites that are watched: one small TOML file each in HOME/sites, or, with none, the shipped sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from rail_watch import aoi, imagery
from rail_watch.aoi.site import Site
from rail_watch.errors import BadInput
from rail_watch.watch.config import Table, read_toml
from rail_watch.watch.rules import DEFAULT_RULES, Rule, rule_of

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
DAY = timedelta(days=1)


@dataclass(frozen=True)
class WatchedSite:
    """One site and how it is watched."""

    name: str
    aoi: str
    """A shipped name, or the path of a file."""
    source: str
    """A folder, a file or what else `detect --source` takes."""
    sensor: str | None = None
    every: timedelta = DAY
    at: time = time(0, 0)
    """Time of day, UTC, at which a new check falls due."""
    look_back: timedelta = timedelta(days=30)
    """Scenes that arrive, or are processed again, within this time after they were taken are found."""
    false_alarm_rate: float = 0.01
    reports: bool = True
    rules: tuple[Rule, ...] = DEFAULT_RULES

    @property
    def local(self) -> bool:
        """Whether the source is on this machine."""
        return Path(self.source).exists()

    def site(self) -> Site:
        """Read the area of interest."""
        return aoi.read(self.aoi)


def slot_of(watched: WatchedSite, now: datetime) -> int:
    """Return the number of the check that a moment belongs to; a site is checked once in each.

    Counted in UTC from 1970, so that no change of clocks makes a night long or short.
    """
    since = now - datetime.combine(datetime(1970, 1, 1).date(), watched.at, tzinfo=UTC)
    return since // watched.every


def next_due(watched: WatchedSite, slot: int) -> datetime:
    """Return when the check after this one falls due."""
    return datetime.combine(datetime(1970, 1, 1).date(), watched.at, tzinfo=UTC) + (slot + 1) * watched.every


def folder_of(home: Path) -> Path:
    """Return where the sites' files lie."""
    return home / "sites"


def sample_sites() -> list[WatchedSite]:
    """Return the shipped sites with the simulated sample imagery."""
    source = str(imagery.sample_imagery_path())
    return [WatchedSite(name, name, source) for name in aoi.shipped()]


def watched_sites(home: Path) -> list[WatchedSite]:
    """Return the sites of a home in order of name; with none, the sample.

    Raises
    ------
    BadInput
        A file is wrong.
    """
    folder = folder_of(home)
    files = sorted(folder.glob("*.toml")) if folder.is_dir() else []
    return [read_site(path) for path in files] if files else sample_sites()


def chosen(sites: Sequence[WatchedSite], names: Sequence[str]) -> list[WatchedSite]:
    """Return the sites of these names.

    Raises
    ------
    BadInput
        There is no such site.
    """
    known = {one.name: one for one in sites}
    for name in names:
        if name not in known:
            raise BadInput(f"{name[:80]}: no such site; watched are {', '.join(known)} (see `rail-watch site add`)")
    return [known[name] for name in dict.fromkeys(names)]


def read_site(path: Path) -> WatchedSite:
    """Read the file of one site.

    Raises
    ------
    BadInput
        With the member that is wrong.
    """
    if not NAME.fullmatch(path.stem):
        raise BadInput(f"{path}: the name must be small letters, digits, - and _; rename the file")
    table = read_toml(path)
    site = _site(table, path)
    table.done()
    return site


def _site(table: Table, path: Path) -> WatchedSite:
    named = table.text("aoi")
    if named is None:
        raise BadInput(f'{path}: no area of interest; write aoi = "yard.geojson"')
    source = table.text("source")
    rate = table.number("false_alarm_rate", 0.01, least=1e-6, most=0.499999)
    days = table.number("look_back_days", 30, least=1, most=3650)
    rules = tuple(rule_of(one) for one in table.tables("rule"))
    assert rate is not None and days is not None
    return WatchedSite(
        name=path.stem,
        aoi=_placed(named, path) if named not in aoi.shipped() else named,
        source=str(imagery.sample_imagery_path()) if source is None else _placed(source, path),
        sensor=table.text("sensor"),
        every=table.span("every", DAY),
        at=table.clock("at") or time(0, 0),
        look_back=timedelta(days=days),
        false_alarm_rate=rate,
        reports=table.flag("reports", True),
        rules=rules or DEFAULT_RULES,
    )


def _placed(text: str, path: Path) -> str:
    """Return a path as seen from the file it stands in; names of services and addresses stay as they are."""
    beside = path.parent / text
    return str(beside) if beside.exists() else text


def site_text(*, aoi_path: str, source: str | None, sensor: str | None) -> str:
    """Return the file of a site as `rail-watch site add` writes it."""
    lines = [f"aoi = {_quoted(aoi_path)}"]
    if source is not None:
        lines.append(f"source = {_quoted(source)}")
    if sensor is not None:
        lines.append(f"sensor = {_quoted(sensor)}")
    lines += ['# every = "1d"          # how often; a check falls due at this time of day, UTC:', '# at = "00:00"']
    lines += ["# look_back_days = 30   # scenes that arrive this late are still found", "# reports = true"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not text.isprintable():
        raise BadInput(f"{text[:80]!r}: has characters that cannot be printed; rename it")
    return f'"{escaped}"'
