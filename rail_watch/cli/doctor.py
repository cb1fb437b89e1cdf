"""``rail-watch doctor``: is everything there that a run needs? One line each, with the mend."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import click

from rail_watch import __version__
from rail_watch.cli.console import plain, verbosity_options
from rail_watch.cli.options import cache_folder

DRIVERS = ("GTiff", "COG", "JP2OpenJPEG")
LEAST_FREE_GB = 1.0
MOST_SKEW_S = 300


@dataclass(frozen=True)
class Finding:
    """One line."""

    state: Literal["ok", "note", "BAD"]
    what: str


@click.command(name="doctor")
@click.option("--offline", is_flag=True, help="Ask no server.")
@verbosity_options
@click.pass_context
def command(ctx: click.Context, offline: bool) -> None:
    """Check versions, drivers, keys, providers and disk.

    One line each, with the mend; keys are named, never shown. A clock far from the providers' is said too.

    \b
    ok    as it should be
    note  only what --source NAME of that provider needs; folders and
          files of your own, and the sample imagery, do without
    BAD   missing, and every run needs it; the exit status is then 1
    """  # noqa: D301 - click reads the backspace
    bad = False
    for finding in _findings(offline):
        bad = bad or finding.state == "BAD"
        click.echo(f"{finding.state:<5}{plain(finding.what)}")
    ctx.exit(1 if bad else 0)


def _findings(offline: bool) -> Iterator[Finding]:
    yield from _versions()
    yield from _drivers()
    yield from _disk()
    yield from _providers(offline)


def _versions() -> Iterator[Finding]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("ok", f"rail-watch {__version__}, Python {python}")
    for name in ("rasterio", "numpy", "scipy", "scikit-image", "shapely", "pyproj", "geopandas", "matplotlib"):
        try:
            yield Finding("ok", f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding("BAD", f"{name} is missing; install rail-watch again with pip")


def _drivers() -> Iterator[Finding]:
    import rasterio
    from rasterio.drivers import raster_driver_extensions

    have = set(raster_driver_extensions().values()) | {"COG"}
    missing = [name for name in DRIVERS if name not in have]
    if missing:
        yield Finding("BAD", f"GDAL {rasterio.__gdal_version__} lacks {', '.join(missing)}; install rasterio's wheel")
    else:
        yield Finding("ok", f"GDAL {rasterio.__gdal_version__} with {', '.join(DRIVERS)}")


def _disk() -> Iterator[Finding]:
    folder = cache_folder()
    standing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(standing).free / 1e9
    where = f"{free:.1f} GB free for the cache in {folder}"
    if free < LEAST_FREE_GB:
        yield Finding("BAD", f"{where}; make room, or name another place with RAIL_WATCH_CACHE")
    else:
        yield Finding("ok", where)


def _providers(offline: bool) -> Iterator[Finding]:
    from rail_watch.errors import BadCatalogue
    from rail_watch.providers import known_names
    from rail_watch.providers.http import key_of
    from rail_watch.providers.source import provider_named

    for name in known_names():
        try:
            provider = provider_named(name)
        except BadCatalogue as fault:
            yield Finding("note", str(fault))
            continue
        if provider is None:
            continue
        for key in provider.key_names():
            if key_of(key):
                yield Finding("ok", f"{name}: key {key} is set")
            else:
                yield Finding("note", f"{name}: key {key} is not set; --source {name} may need it")
        if offline:
            yield Finding("note", f"{name}: not asked (--offline)")
        else:
            yield from _reached(name, provider.address())


def _reached(name: str, address: str) -> Iterator[Finding]:
    """Ask a provider once, and compare clocks with it."""
    from rail_watch.imagery.hrefs import shown
    from rail_watch.providers.http import Patience, Unreachable, Web

    patience = Patience(tries=1, timeout_s=5.0, deadline_s=10.0)
    try:
        answer = Web(patience=patience).naming(address).get(address)
    except Unreachable as fault:
        if fault.status is None:
            yield Finding("note", f"{name}: {fault}; is there a network, or a proxy to set in HTTPS_PROXY?")
        else:
            yield Finding("ok", f"{name}: answers at {shown(address)}")
        return
    yield Finding("ok", f"{name}: answers at {shown(address)}")
    try:
        skew = abs((parsedate_to_datetime(answer.headers.get("date", "")) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return
    if skew > MOST_SKEW_S:
        yield Finding("note", f"clock: {skew:.0f} s off from {name}'s; set it, or signatures will be refused")
