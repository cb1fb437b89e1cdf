"""Read one scene over one site: windows only, on the scene's own grid, with a reason for every pixel not measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rail_watch.aoi.site import Site
from rail_watch.errors import BadInput, BadRaster
from rail_watch.grid import Grid
from rail_watch.imagery import checksum
from rail_watch.imagery.hrefs import is_remote, shown
from rail_watch.imagery.pixels import Part, imagery_part, quality_part, sheet_of
from rail_watch.imagery.quality import GROW_M, NO_VALUE, grown, worst
from rail_watch.imagery.radiometry import RULES, Rule
from rail_watch.imagery.scene import Asset, Quality, Scene, SceneRef, Unread
from rail_watch.imagery.window import covers, lay, near_lines, site_mask, target_of

States = NDArray[np.uint8]
OUTSIDE = int(Quality.OUTSIDE)
NEAR_TRACKS_M = 20.0
"""A train, its shadow and a pixel or two of 10 m."""
CLEAR, NODATA, SATURATED = (np.uint8(state) for state in (Quality.CLEAR, Quality.NODATA, Quality.SATURATED))


@dataclass
class _Log:
    """What is gathered while reading."""

    digests: dict[str, str]
    notes: list[str]


def _local(asset: Asset, log: _Log) -> Path:
    """Return the asset's local file, checked against the catalogue's checksum where there is one."""
    if is_remote(asset.href):
        raise BadRaster(f"{shown(asset.href)}: on the network, and no provider reads it; download it")
    path = Path(asset.href)
    if not path.is_file():
        raise BadRaster(f"{path}: no such file; fetch it, or take the scene out of the catalogue")
    note = checksum.verify(path, asset.checksum) if asset.checksum else None
    if note:
        log.notes.append(note)
    return path


def _imagery(
    paths: Sequence[tuple[Path, Asset]], target: Grid, log: _Log
) -> tuple[list[NDArray[np.float32]], States] | None:
    """Return the bands of all files on the target grid and each pixel's state, None when nothing is under it."""
    planes, states = [], []
    for path, asset in paths:
        part = imagery_part(path, asset, target)
        if part is None:
            return None
        log.digests[asset.key] = part.digest
        state = lay(part.state[None], part.grid, target, fill=OUTSIDE)[0]
        planes.append(_measured(part, target))
        states.append(state)
    several = sum(len(asset.bands) for _, asset in paths) > 1
    saturated = np.all([state == Quality.SATURATED for state in states], axis=0) & several
    for state in states:
        state[state == Quality.SATURATED] = Quality.CLEAR
    return planes, worst(*states, np.where(saturated, SATURATED, CLEAR))


def _measured(part: Part, target: Grid) -> NDArray[np.float32]:
    return lay(part.values, part.grid, target, fill=math.nan, smooth=True)


def _masks(paths: Sequence[tuple[Path, Asset]], target: Grid, log: _Log) -> list[States]:
    """Return the states that the quality layers give, on the target grid, with cloud widened."""
    layers = []
    gsd = target.metres_per_pixel()
    for path, asset in paths:
        part = quality_part(path, asset, target)
        if part is None:
            log.notes.append(
                f"{path.name}: the quality layer does not reach the site; nothing there is known to be clear"
            )
            layers.append(np.full(target.shape, Quality.NODATA, dtype=np.uint8))
            continue
        log.digests[asset.key] = part.digest
        state = lay(part.state[None], part.grid, target, fill=OUTSIDE)[0]
        unknown = np.where(state == OUTSIDE, Quality.NODATA, state).astype(np.uint8)
        reach = 0.0 if asset.quality == "data-mask" else max(GROW_M, part.grid.metres_per_pixel())
        layers.append(grown(unknown, pixels=round(reach / gsd)))
    return layers


def _radiometry_notes(ref: SceneRef) -> list[str]:
    """Say where scale and offset were not simply the catalogue's."""
    first = {band.rule: band for asset in reversed(ref.assets) for band in reversed(asset.bands)}
    told: tuple[Rule, ...] = ("override", "already-applied", "baseline", "product")
    return [
        f"{RULES[rule]} (scale {first[rule].scale:g}, offset {first[rule].offset:g})" for rule in told if rule in first
    ]


def _read(ref: SceneRef, site: Site, margin_m: float) -> Scene | Unread:
    log = _Log({}, _radiometry_notes(ref))
    local = [(_local(asset, log), asset) for asset in ref.assets]
    imagery = [(path, asset) for path, asset in local if asset.quality is None]
    if not imagery:
        raise BadRaster("no imagery among its assets")
    sheets = [sheet_of(path) for path, _ in imagery]
    finest = min(sheets, key=lambda sheet: sheet.pixel_m)
    try:
        if not all(covers(sheet.grid, site) for sheet in sheets):
            return Unread(ref, "its image does not reach the site", failed=False)
        bands = sum(len(asset.bands) for _, asset in imagery)
        target = target_of(finest.grid, site, margin_m=margin_m, bands=bands)
    except BadRaster as fault:
        raise BadRaster(f"{finest.path}: {fault}") from fault
    if ref.gsd_m and not 1 / 1.5 < finest.pixel_m / ref.gsd_m < 1.5:
        log.notes.append(f"the catalogue gives {ref.gsd_m:g} m, the file's pixels are {finest.pixel_m:.3g} m")
    read = _imagery(imagery, target, log)
    if read is None or not _anything(read[1], site, target):
        return Unread(ref, "its image holds no data over the site", failed=False)
    masks = _masks([(path, asset) for path, asset in local if asset.quality is not None], target, log)
    if not masks:
        log.notes.append("no cloud mask came with this scene; cloud was not looked for in it")
    pixels = read[0][0] if len(read[0]) == 1 else np.concatenate(read[0])
    holes = np.where(np.isfinite(pixels).all(axis=0), CLEAR, NODATA)
    quality = worst(read[1], holes, *masks)
    pixels += NO_VALUE.take(quality)
    log.notes += flagged_near_tracks(quality, site, target)
    names = tuple(band.name for _, asset in imagery for band in asset.bands)
    ref = replace(ref, simulated=ref.simulated or any(sheet.simulated for sheet in sheets))
    return Scene(ref, target, names, pixels, quality, log.digests, tuple(log.notes))


def flagged_near_tracks(quality: States, site: Site, grid: Grid) -> list[str]:
    """Ask about cloud or snow that a product sees along the tracks and hardly elsewhere.

    Classifiers call bright ballast, roofs and concrete cloud. Such ground is not judged, as cloud is not; but it must
    not go unsaid that nobody looked just there.
    """
    lines = [*(track.line for track in site.tracks), *(bridge.line for bridge in site.bridges)]
    flagged = (quality == Quality.CLOUD) | (quality == Quality.SNOW)
    if not lines or not flagged.any():
        return []
    inside = site_mask(site, grid) & (quality != OUTSIDE) & (quality != NODATA)
    near = near_lines(lines, grid, reach_m=NEAR_TRACKS_M)
    along, elsewhere = flagged[inside & near], flagged[inside & ~near]
    if not along.size or not elsewhere.size or along.mean() < 0.2 or elsewhere.mean() > along.mean() / 4:
        return []
    return [
        f"the product calls {along.mean():.0%} of the ground along the tracks cloud or snow, elsewhere "
        f"{elsewhere.mean():.0%}: is it bright ballast, a roof or cargo? look at the picture"
    ]


def _anything(state: States, site: Site, target: Grid) -> bool:
    """Return whether any pixel inside the site was measured."""
    return bool(((state != OUTSIDE) & (state != NODATA) & site_mask(site, target)).any())


def read(ref: SceneRef, site: Site, *, margin_m: float = 30.0) -> Scene | Unread:
    """Read a scene's pixels over a site.

    Parameters
    ----------
    ref : what the catalogue says of the scene.
    site : its outline, widened by `margin_m` metres, is read; never the whole scene.
    margin_m : room for co-registration.

    Returns
    -------
    Scene
        On the scene's own lattice (of its finest file), continued past the image's edge as OUTSIDE so that every
        scene covers the whole site. A raster in degrees is laid onto UTM at its true pixel size. Files of one scene
        with other pixels are resampled onto the finest: measurements bilinearly, quality layers to the nearest.
    Unread
        Why not: ``failed=True`` for a file that is missing, broken, refused or not the one described;
        ``failed=False`` where the image simply does not show the site. It never raises for a bad file.
    """
    try:
        if ref.access is None:
            return _read(ref, site, margin_m)
        with ref.access.brought(ref, site, margin_m=margin_m) as local:
            if isinstance(local, Unread):
                return local
            answer = _read(local, site, margin_m)
    except BadInput as fault:
        return Unread(ref, str(fault))
    return replace(answer, ref=replace(ref, simulated=answer.ref.simulated))
