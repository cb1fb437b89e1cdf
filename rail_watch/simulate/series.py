"""Play a story through: every picture of it, its catalogue and its truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rail_watch.aoi.site import Site
from rail_watch.errors import BadInput
from rail_watch.simulate.objects import Things
from rail_watch.simulate.scene import Picture, Shot, Stage, frame_for, render, season_of, stage
from rail_watch.simulate.story import SiteStory, Story, passing, things_at
from rail_watch.simulate.truth import scene_truth, truth_document
from rail_watch.simulate.world import World, world_of
from rail_watch.simulate.write import write_catalogue, write_picture, write_truths

Json = dict[str, Any]
Progress = Callable[[int, int, str], None]


def staged(world: World, told: SiteStory, shot: Shot, kept: dict[tuple[str, float], Stage]) -> Stage:
    """Return the ground for a shot; `kept` holds those already built, by sensor and season."""
    season = season_of(shot.when, world.site.polygon.centroid.y)
    key = (shot.sensor.name, season.green)
    if key not in kept:
        kept[key] = stage(world, told.scenery, frame_for(world, shot.sensor), season)
    return kept[key]


def play(story: Story, sites: Mapping[str, Site], out: Path, *, progress: Progress | None = None) -> list[Json]:
    """Render a story into `out` as a static STAC catalogue with `truth.json`; return the items.

    Parameters
    ----------
    story : what stands where and when, and the pictures to take.
    sites : the AOI of every site of the story, by the story's name for it.
    out : folder, made if need be.
    progress : called before each picture with its number, how many there are, and its id.
    """
    total = sum(len(told.shots) for told in story.sites.values())
    items: list[Json] = []
    truths: list[Json] = []
    for name, told in story.sites.items():
        check_names(told, sites[name])
        world = world_of(sites[name], seed=story.seed, line_error_m=told.line_error_m)
        truths += _site(world, told, out, items, lambda scene: progress and progress(len(items) + 1, total, scene))
    write_catalogue(out, items, title=story.title, catalogue_id=story.id)
    write_truths(out / "truth.json", truths)
    return items


def check_names(told: SiteStory, site: Site) -> None:
    """Refuse a story that speaks of tracks, aprons or water the AOI does not have.

    Raises
    ------
    BadInput
        One line: the first such name, and those there are.
    """
    scenery = told.scenery
    lines = [stay.track for stay in told.stays] + [heap.by for heap in told.heaps] + [one.by for one in told.parked]
    lines += [path.by for path in (*scenery.sidings, *scenery.walls, *scenery.roads)]
    lines += [block.by for block in (*scenery.paved, *scenery.platforms, *scenery.buildings)]
    lines += [village.by for village in scenery.villages]
    lines += [work.block.by for work in told.works] + [truss.bridge for truss in scenery.trusses]
    known = {
        "track": (
            [*lines, *scenery.masts_by],
            {track.id for track in site.tracks} | {bridge.id for bridge in site.bridges},
        ),
        "apron": ([heap.apron for heap in told.heaps], {area.id for area in site.aprons}),
        "exclusion": (list(scenery.water), {area.id for area in site.excludes}),
    }
    for what, (used, there) in known.items():
        for name in used:
            if name not in there:
                has = ", ".join(sorted(there)) or "none"
                raise BadInput(f"story: site {site.id} has no {what} {name!r}; it has {has}")


def _site(world: World, told: SiteStory, out: Path, items: list[Json], note: Callable[[str], object]) -> list[Json]:
    """Render one site's pictures sensor by sensor, so that one ground is in memory at a time."""
    truths = []
    for sensor in dict.fromkeys(shot.sensor for shot in told.shots):
        kept: dict[tuple[str, float], Stage] = {}
        scenes = []
        for shot in (one for one in told.shots if one.sensor == sensor):
            note(shot.id)
            picture, truth = take(world, told, shot, staged(world, told, shot, kept))
            items.append(write_picture(picture, out / sensor.platform, site_name=world.site.name))
            scenes.append(truth)
        truths.append(truth_document(world, sensor.gsd_m, scenes))
    return truths


def take(world: World, told: SiteStory, shot: Shot, ground: Stage) -> tuple[Picture, Json]:
    """Return one picture of a story and what is true of it."""
    things = things_at(told, world, shot.when)
    picture = render(ground, shot, things, later=_later(world, told, shot))
    return picture, scene_truth(world, things, picture)


def _later(world: World, told: SiteStory, shot: Shot) -> dict[int, Things]:
    """Return what stands there when each later band is taken; nothing where no train moves.

    A detector with an odd number sees the bands in reverse, as Sentinel-2's do.
    """
    if not shot.sensor.delays_s or not passing(told, shot.when):
        return {}
    detector = shot.notes.get("rail_watch:detector", 2)
    sign = -1.0 if isinstance(detector, int) and detector % 2 else 1.0
    delays = enumerate(shot.sensor.delays_s)
    return {band: things_at(told, world, shot.when, delay_s=sign * delay) for band, delay in delays if delay}
