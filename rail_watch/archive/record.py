"""Put what a run says of a site into the archive, once.

A scene is judged once for each version of its site, version of the software and set of parameters. `detect` judges a
series: a later night sees the same scene with more around it, and might say something else of it. The first verdict
is kept. Only a scene that could not be judged at first may get its verdict later.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rail_watch.aoi.site import Site
from rail_watch.archive.observations import archived_like
from rail_watch.archive.sites import keep_site
from rail_watch.archive.store import Archive, moment, packed
from rail_watch.observe.document import observations_geojson
from rail_watch.observe.records import ApronLook, Detections, Observation, SceneRecord, TrackLook

_SENTINEL_2_ID = re.compile(r"(S2[A-D]_MSIL[12][AC]_\d{8}T\d{6})(?:_N\d{4})?(_R\d{3}_T\w{5})_\d{8}T\d{6}")
SEEN_APRON = 0.5
"""Share of an apron in sight from which its fill is a state."""
_JUDGEMENT = """
INSERT INTO judgement (scene, software, parameters, run, site, acquisition, datetime, status, reason, clear_fraction,
    shift_east_m, shift_north_m, shift_error_m, notes, activity)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (scene, software, parameters) DO UPDATE SET
    run = excluded.run, status = excluded.status, reason = excluded.reason, clear_fraction = excluded.clear_fraction,
    shift_east_m = excluded.shift_east_m, shift_north_m = excluded.shift_north_m,
    shift_error_m = excluded.shift_error_m, notes = excluded.notes, activity = excluded.activity
WHERE judgement.status = 'skipped' AND excluded.status = 'used'
"""


@dataclass(frozen=True)
class Recorded:
    """What was new to the archive."""

    scenes: tuple[str, ...]
    """Ids of the scenes that got a verdict now, in order of time."""
    observations: tuple[str, ...]
    """Ids of the observations in them."""


def acquisition_of(scene_id: str) -> str:
    """Return what two products of one acquisition share: the id, less the processing that ESA writes into it."""
    match = _SENTINEL_2_ID.fullmatch(scene_id)
    return "".join(match.groups()) if match else scene_id


def pixels_of(digests: Mapping[str, str]) -> str:
    """Return one digest of all pixels of a scene's window; empty when none were read."""
    return hashlib.sha256(packed(dict(digests)).encode()).hexdigest() if digests else ""


def parameters_of(detections: Detections) -> str:
    """Return the parameters a verdict rests on; which interval was asked for is none of them."""
    return packed({name: value for name, value in detections.parameters.items() if name != "datetime"})


def record(
    archive: Archive, site: Site, detections: Detections, *, run: int, scenes: Collection[str] | None = None
) -> Recorded:
    """Keep the verdicts of one site that are not yet in the archive. Only inside `Archive.writing`.

    Parameters
    ----------
    run : number of the run that judged.
    scenes : ids of the scenes to keep; the others were looked at for comparison. None: all.
    """
    version = keep_site(archive, site)
    features = {feature["id"]: feature for feature in observations_geojson(detections)["features"]}
    kept: list[str] = []
    seen: list[str] = []
    for record_ in sorted(detections.scenes, key=lambda one: (one.when, one.id)):
        if record_.status == "baseline" or (scenes is not None and record_.id not in scenes):
            continue
        judgement = _keep_scene(archive, _with_aprons(record_, site), detections, version=version, run=run)
        if judgement is None:
            continue
        kept.append(record_.id)
        here = [one for one in detections.observations if one.scene == record_.id]
        for one in here if record_.status == "used" else ():
            _keep_observation(archive, one, features[one.id], detections, judgement=judgement)
            seen.append(one.id)
    return Recorded(tuple(kept), tuple(seen))


def _keep_scene(archive: Archive, scene: SceneRecord, detections: Detections, *, version: int, run: int) -> int | None:
    """Keep one scene's verdict and looks; return its number, None when there was one already."""
    pixels = pixels_of(scene.digests)
    acquisition = acquisition_of(scene.id)
    archive.do(
        "INSERT INTO scene (site_version, id, acquisition, pixels, datetime, platform, sensor, gsd_m, simulated, "
        "credit, digests) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (version, scene.id, acquisition, pixels, moment(scene.when), scene.platform, scene.sensor, scene.gsd_m,
         int(scene.simulated), scene.credit, packed(dict(scene.digests))),
    )  # fmt: skip
    number = archive.value(
        "SELECT number FROM scene WHERE site_version = ? AND id = ? AND pixels = ?", (version, scene.id, pixels)
    )
    software, parameters = detections.software["rail-watch"], parameters_of(detections)
    east, north = scene.shift_m or (None, None)
    changed = archive.do(
        _JUDGEMENT,
        (number, software, parameters, run, detections.site, acquisition, moment(scene.when), scene.status,
         scene.reason, scene.clear_fraction, east, north, scene.shift_error_m, packed(list(scene.notes)),
         scene.activity),
    )  # fmt: skip
    if not changed:
        return None
    judgement: int = archive.value(
        "SELECT number FROM judgement WHERE scene = ? AND software = ? AND parameters = ?",
        (number, software, parameters),
    )
    archive.do("DELETE FROM look WHERE judgement = ?", (judgement,))
    heaps = {
        one.apron
        for one in detections.observations
        if one.scene == scene.id and one.kind == "cargo" and one.change != "departed" and scene.status == "used"
    }
    aprons = (_apron_row(look, cargo=look.apron in heaps) for look in scene.aprons)
    for row in [*map(_track_row, scene.tracks), *aprons]:
        archive.do("INSERT INTO look VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (judgement, *row))
    return judgement


def _with_aprons(scene: SceneRecord, site: Site) -> SceneRecord:
    """Return the record with a row for every apron: of a scene that was skipped, `detect` gives none."""
    known = {look.apron for look in scene.aprons}
    missing = (
        ApronLook(apron.id, "not-visible", 0.0, None, None, None, scene.reason)
        for apron in site.aprons
        if apron.id not in known
    )
    return replace(scene, aprons=(*scene.aprons, *missing))


def _track_row(look: TrackLook) -> tuple[object, ...]:
    return (look.role, look.track, look.visibility, look.visible_fraction, look.state, look.p_value,
            look.shortest_detectable_m, None, None, None, look.reason)  # fmt: skip


def _apron_row(look: ApronLook, *, cargo: bool) -> tuple[object, ...]:
    """Return one apron's line of the look log: occupied where cargo was found on it, as a track is by a train.

    The fill is a mean of chances, never quite nothing, and passed no test at the false-alarm rate as the cargo did.
    Where it lies above nothing all the same, what is there was not found, and the apron is not said to be empty.
    """
    low, high = look.fill_fraction_95 or (None, None)
    hidden = look.fill_fraction is None or look.visible_fraction < SEEN_APRON
    state = "occupied" if cargo else "unknown" if hidden or (low or 0.0) > 0 else "empty"
    return ("apron", look.apron, look.visibility, look.visible_fraction, state, None,
            look.smallest_detectable_m2, look.fill_fraction, low, high, look.reason)  # fmt: skip


def _keep_observation(
    archive: Archive, one: Observation, feature: Mapping[str, Any], detections: Detections, *, judgement: int
) -> None:
    archive.do(
        "INSERT INTO observation (judgement, id, kind, place, feature) VALUES (?, ?, ?, ?, ?)",
        (judgement, one.id, one.kind, one.track or one.apron, packed(feature)),
    )
    number = archive.value("SELECT number FROM observation WHERE judgement = ? AND id = ?", (judgement, one.id))
    west, south, east, north = one.geometry.bounds
    archive.do("INSERT INTO footprint VALUES (?, ?, ?, ?, ?)", (number, west, east, south, north))
    _keep_links(archive, one, number, detections)


def _keep_links(archive: Archive, one: Observation, number: int, detections: Detections) -> None:
    """Keep what the observation is linked with, by the ids that the archive knows."""
    sql = "INSERT INTO link VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    if one.same_as is not None and one.same_as_when is not None:
        there = one.same_as_site or one.site
        known = one.same_as
        earlier = next((other for other in detections.observations if other.id == one.same_as), None)
        if earlier is not None and there == one.site:
            known = archived_like(archive, earlier, when=earlier.when) or known
        archive.do(sql, (number, "appears-same", known, there, moment(one.same_as_when), one.same_as_p))
    if one.change == "standing" and one.last_clear_before is not None:
        stood = archived_like(archive, one, when=one.last_clear_before)
        if stood is not None:
            archive.do(sql, (number, "stands", stood, one.site, moment(one.last_clear_before), None))
