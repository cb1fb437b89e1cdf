"""The main job, top to bottom: find, read, prepare, interpret, compare, say.

The only module that knows all stages. No clock, no network of its own, no plotting: the time of making is handed in,
and what is far away is reached through `rail_watch.providers`.
"""

from __future__ import annotations

import multiprocessing
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from rail_watch import __version__, aoi, imagery, providers
from rail_watch.aoi.site import Site
from rail_watch.errors import BadAoi, NoUsableImagery
from rail_watch.imagery.interval import Interval
from rail_watch.imagery.sanity import checked
from rail_watch.imagery.scene import Scene, SceneRef, Unread
from rail_watch.interpret.findings import interpret, interpret_radar
from rail_watch.interpret.refine import applied, refine
from rail_watch.interpret.refine_areas import areas_go_along
from rail_watch.interpret.strips import FINE_GSD_M
from rail_watch.observe.assemble import Judged, observations_of, scene_record, skipped_scene
from rail_watch.observe.link import Seen, link
from rail_watch.observe.records import Detections, SceneRecord
from rail_watch.observe.sentences import summary_of, text_of
from rail_watch.prepare.stack import Stack, prepare

Progress = Callable[[int, int, str], None]
Where = str | Path | providers.Source | providers.Enclosed

SAME_GSD = 1.3
"""Scenes whose GSDs differ by less than this factor are judged together."""
BASELINE_SCENES = 30
"""Scenes before and after the interval asked for that are read to know what the site usually looks like."""
FINE_LINES_M, COARSEST_LINES_M = 2.0, 30.0
"""Lines of an accuracy between these are laid onto the imagery before they are used."""
UNSTATED_LINES_M = 5.0
"""How far lines are taken to lie from the truth where their file does not say: what maps are good to."""
IN_FLIGHT = 8
"""Scenes read from the network at the same time: they wait for servers, not for processors."""
MOST_HELPERS = 2
"""Processes beside the first: a site has few sensors and few linked sites."""
OPTICAL = ("blue", "green", "red", "nir", "pan")
RADAR = ("vv", "vh", "hh", "hv")


@dataclass(frozen=True)
class DetectOptions:
    """What the user asked for."""

    when: Interval = (None, None)
    sensor: str | None = None
    false_alarm_rate: float = 0.01
    """Per track and scene."""
    jobs: int = 1
    """Scenes read at the same time, and processes that judge: with more than one, the caller's own main module must be
    safe to import (`if __name__ == "__main__"`), as `multiprocessing` asks."""


@dataclass(frozen=True)
class DetectRun:
    """Everything about one site in one run."""

    site: Site
    detections: Detections
    stacks: Mapping[str, Stack]
    """Sensor name to its prepared stack, for pictures."""
    unread: tuple[Unread, ...]


@dataclass(frozen=True)
class _Part:
    """One site's answer before it is compared with others."""

    site: Site
    judged: tuple[Judged, ...]
    scenes: tuple[SceneRecord, ...]
    seen: tuple[Seen, ...]
    unread: tuple[Unread, ...]
    notes: tuple[str, ...] = ()
    """What was decided about the source's scenes: an older processing left, tiles joined, a time of day supposed."""


def software() -> dict[str, str]:
    """Names and versions that a finding rests on."""
    names = ("numpy", "scipy", "rasterio", "shapely", "pyproj")
    versions = {"rail-watch": __version__, "python": platform.python_version()}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _inside(when: datetime, interval: Interval) -> bool:
    first, last = interval
    return (first is None or when >= first) and (last is None or when <= last)


def _chosen(refs: Sequence[SceneRef], interval: Interval) -> list[SceneRef]:
    """Scenes asked for, and the nearest before and after them as baseline."""
    asked = [ref for ref in refs if _inside(ref.when, interval)]
    if not asked:
        return []
    before = [ref for ref in refs if ref.when < asked[0].when and ref not in asked][-BASELINE_SCENES:]
    after = [ref for ref in refs if ref.when > asked[-1].when and ref not in asked][:BASELINE_SCENES]
    return [*before, *asked, *after]


def _read_all(
    refs: Sequence[SceneRef], site: Site, *, jobs: int, progress: Progress | None
) -> tuple[list[Scene], list[Unread]]:
    """Read every scene's window; what fails stays a record."""
    scenes: list[Scene] = []
    unread: list[Unread] = []
    far = any(ref.access is not None for ref in refs)
    with ThreadPoolExecutor(max_workers=max(jobs, IN_FLIGHT if far else 1)) as pool:
        for index, result in enumerate(pool.map(lambda ref: imagery.read(ref, site, margin_m=margin_m(ref)), refs)):
            if isinstance(result, Scene):
                scenes.append(result)
            else:
                unread.append(result)
            if progress is not None:
                progress(index + 1, len(refs), f"{site.id}: reading {refs[index].id}")
    return scenes, unread


def margin_m(ref: SceneRef) -> float:
    """Ground read beyond the site: enough pixels for the co-registration of a small site."""
    return max(30.0, 20 * (ref.gsd_m or 1.0))


def _kind(scene: Scene) -> str:
    if any(band in RADAR for band in scene.bands):
        return "radar"
    return "panchromatic" if scene.bands == ("pan",) else "optical"


def _family(ref: SceneRef) -> str:
    return ref.constellation or ref.platform or "unknown sensor"


def groups_of(scenes: Sequence[Scene]) -> list[tuple[str, list[Scene]]]:
    """Sort scenes into groups judged together: same kind, alike in GSD, bands in common.

    Satellites of a constellation, and of several, are judged together when their pixels are alike: what matters is
    what the pixels can show, not whose they are.
    """
    groups: list[list[Scene]] = []
    for scene in sorted(scenes, key=lambda s: (s.grid.metres_per_pixel(), s.ref.when, s.ref.id)):
        gsd = scene.grid.metres_per_pixel()
        for group in groups:
            first = group[0]
            alike = gsd / first.grid.metres_per_pixel() < SAME_GSD and _kind(first) == _kind(scene)
            if alike and set(first.bands) & set(scene.bands):
                group.append(scene)
                break
        else:
            groups.append([scene])
    named = []
    for group in groups:
        families = list(dict.fromkeys(_family(s.ref) for s in sorted(group, key=lambda s: s.ref.when)))
        shown = " + ".join(families[:2]) + (" and others" if len(families) > 2 else "")
        gsd = group[0].grid.metres_per_pixel()
        named.append((f"{shown}, {gsd:.2g} m", sorted(group, key=lambda s: (s.ref.when, s.ref.id))))
    return _distinct(named)


def _distinct(named: list[tuple[str, list[Scene]]]) -> list[tuple[str, list[Scene]]]:
    """Two groups of one name (say, colour and panchromatic) get their kind added."""
    names = [name for name, _ in named]
    return [(f"{n} ({_kind(g[0])})" if names.count(n) > 1 else n, g) for n, g in named]


def _judged(sensor: str, group: Sequence[Scene], site: Site, *, rate: float, trains_only: bool) -> Judged:
    """Prepare and interpret the scenes of one sensor, on lines laid onto its imagery where the file's are coarse."""
    if _kind(group[0]) == "radar":
        stack = prepare(group, site, sensor=sensor, align=False)
        return Judged(stack, tuple(group), interpret_radar(stack, site, false_alarm_rate=rate))
    stack = prepare(group, site, sensor=sensor)
    laid, note = _laid(site, stack)
    return Judged(stack, tuple(group), interpret(stack, laid, false_alarm_rate=rate, trains_only=trains_only), note)


def _laid(site: Site, stack: Stack) -> tuple[Site, str | None]:
    """Return the site with its lines where the imagery shows them and a note of it; as it is where it cannot."""
    accuracy_m = UNSTATED_LINES_M if site.accuracy_m is None else site.accuracy_m
    if not FINE_LINES_M < accuracy_m <= COARSEST_LINES_M:
        return site, None
    fit = refine(stack, site, reach_m=max(accuracy_m, 5.0))
    laid = applied(site, fit)
    if laid is site:
        return site, None
    if not areas_go_along(stack, site, laid, by_m=float(np.hypot(fit.pose.east_m, fit.pose.north_m))):
        laid = applied(site, fit, areas=False)
    moved = f"{fit.pose.east_m:+.1f} m east, {fit.pose.north_m:+.1f} m north"
    return laid, f"{stack.sensor}: lines laid onto the imagery ({moved}), good to {fit.accuracy_m:.1f} m"


def _judge_groups(
    groups: Sequence[tuple[str, list[Scene]]], judge: Callable[[str, list[Scene]], Judged], pool: Executor | None
) -> list[Judged]:
    """Judge every sensor's scenes; with a pool the largest group here and the others beside it.

    What the pool has not begun when the largest is done is judged here too.
    """
    if pool is None or len(groups) < 2:
        return [judge(sensor, group) for sensor, group in groups]
    sizes = [sum(scene.pixels.size for scene in group) for _, group in groups]
    largest = sizes.index(max(sizes))
    beside: dict[int, Future[Judged]] = {
        index: pool.submit(judge, *groups[index]) for index in range(len(groups)) if index != largest
    }
    own = {largest: judge(*groups[largest])}
    own |= {index: judge(*groups[index]) for index, job in beside.items() if job.cancel()}
    return [own[index] if index in own else beside[index].result() for index in range(len(groups))]


def _judge_site(
    site: Site,
    *,
    source: Where,
    options: DetectOptions,
    progress: Progress | None = None,
    elsewhere: bool = False,
    pool: Executor | None = None,
) -> _Part | None:
    """Find, read and interpret one site; None when the source has nothing of it.

    A site that is looked at only for trains to know again (`elsewhere`) needs imagery that shows cars, and trains only.
    """
    found = providers.find(site, options.when, source=source, sensor=options.sensor)
    refs = _chosen(found.scenes, options.when)
    if elsewhere:
        refs = [ref for ref in refs if ref.gsd_m is None or ref.gsd_m <= FINE_GSD_M]
    if not refs:
        return None
    scenes, unread = _read_all(refs, site, jobs=options.jobs, progress=progress)
    scenes, doubted = checked(scenes, site)
    unread += doubted
    groups = groups_of(scenes)
    if progress is not None:
        progress(len(refs), len(refs), f"{site.id}: judging {len(scenes)} scenes of {len(groups)} sensors")
    judge = partial(_judged, site=site, rate=options.false_alarm_rate, trains_only=elsewhere)
    judged = _judge_groups(groups, judge, pool)
    records = []
    for part in judged:
        for t, scene in enumerate(part.scenes):
            records.append(scene_record(part, site, t, baseline=not _inside(scene.ref.when, options.when)))
    for item in unread:
        if item.failed or _inside(item.ref.when, options.when):
            reason = item.reason.replace(f"{Path(source).absolute()}/", "")
            records.append(skipped_scene(item.ref, site, sensor=_family(item.ref), reason=reason))
    status = {record.id: record.status for record in records}
    seen: list[Seen] = []
    for part in judged:
        used = np.array([status[ref.id] == "used" for ref in part.stack.scenes])
        seen += observations_of(site, part, used)
    records.sort(key=lambda record: (record.when, record.id))
    faults = tuple(
        Unread(SceneRef(id=f, when=refs[0].when, platform=None, gsd_m=None, assets=()), f) for f in found.faults
    )
    notes = tuple(note.replace(f"{Path(source).absolute()}/", "") for note in found.notes)
    return _Part(site, tuple(judged), tuple(records), tuple(seen), (*unread, *faults), notes)


def _glance(site: Site, *, source: Where, options: DetectOptions) -> _Part | None:
    """Look at a linked site for trains to know again; its pixels are not needed afterwards."""
    part = _judge_site(site, source=source, options=options, elsewhere=True)
    return None if part is None else replace(part, judged=())


def _glances(
    sites: Sequence[Site], *, source: Where, options: DetectOptions, pool: Executor | None
) -> Callable[[], list[_Part]]:
    """Return what gives the linked sites' parts when asked; with a pool they are looked at meanwhile."""
    glance = partial(_glance, source=source, options=options)
    if pool is None:
        return lambda: [part for site in sites if (part := glance(site)) is not None]
    futures = [pool.submit(glance, site) for site in sites]
    return lambda: [part for future in futures if (part := future.result()) is not None]


@contextmanager
def helpers(jobs: int) -> Iterator[Executor | None]:
    """Processes beside this one, for `detect_sites` and for the reports afterwards; None with one job."""
    if jobs < 2:
        yield None
        return
    # Spawned, not forked: GDAL and its threads do not survive a fork.
    with ProcessPoolExecutor(min(jobs - 1, MOST_HELPERS), mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def _linked(sites: Sequence[Site]) -> list[Site]:
    """Shipped sites that those asked for are linked with, and that were not asked for themselves."""
    own = {site.id for site in sites}
    wanted = dict.fromkeys(name for site in sites for name in site.linked if name not in own)
    shipped = set(aoi.shipped())
    out = []
    for name in wanted:
        if name in shipped:
            try:
                out.append(aoi.read(name))
            except BadAoi:
                continue
    return out


def _warnings(part: _Part) -> tuple[str, ...]:
    out = []
    site = part.site
    real = any(not record.simulated for record in part.scenes)
    if site.accuracy_m is not None and site.accuracy_m > 5 and real:
        out.append(
            f"The lines of {site.id} are good to {site.accuracy_m:g} m only; refine them against the imagery "
            "before positions and track names are relied on."
        )
    out += [judged.note for judged in part.judged if judged.note is not None]
    for record in part.scenes:
        out += [f"{record.id}: {note}" for note in record.notes]
    out += part.notes
    return tuple(dict.fromkeys(out))


def _finished(
    part: _Part,
    others: Sequence[_Part],
    *,
    options: DetectOptions,
    created: datetime,
    source: Where,
) -> DetectRun:
    """Compare one site's observations with those before and elsewhere, and put them into words."""
    elsewhere = [seen for other in others if other.site.id != part.site.id for seen in other.seen]
    names = {p.site.id: p.site.name for p in [part, *others]}
    linked = link(part.seen, {p.site.id: p.scenes for p in [part, *others]}, elsewhere=elsewhere)
    told = tuple(replace(item, text=text_of(item, part.site, site_names=names)) for item in linked)
    first, last = options.when
    detections = Detections(
        site=part.site.id,
        site_name=part.site.name,
        created=created,
        software=software(),
        parameters={
            "false_alarm_rate": options.false_alarm_rate,
            "datetime": [first.isoformat() if first else None, last.isoformat() if last else None],
            "sensor": options.sensor,
        },
        scenes=part.scenes,
        observations=told,
        summary=summary_of(part.site, part.scenes, told),
        warnings=_warnings(part),
        aoi_digest=part.site.digest,
    )
    return DetectRun(part.site, detections, {j.stack.sensor: j.stack for j in part.judged}, part.unread)


def detect_sites(
    sites: Sequence[Site],
    *,
    source: Where,
    options: DetectOptions,
    created: datetime,
    progress: Progress | None = None,
    pool: Executor | None = None,
) -> list[DetectRun]:
    """Judge sites against a source of imagery.

    Parameters
    ----------
    sites : what to watch; sites they are linked with are looked at too, so that the same train is known again.
    source : a static STAC catalogue, a folder of images, or a place on the network; see `rail_watch.providers`.
    options : interval, sensor, false-alarm rate, readers in parallel.
    created : time stamped on the answer; the same inputs and the same stamp give the same bytes.
    progress : called with (done, of, what) as work goes on.
    pool : `helpers` that the caller keeps for later work; without it they are started and ended here.

    Returns
    -------
    list of DetectRun
        One per site asked for, in that order.

    Raises
    ------
    NoUsableImagery
        When no scene of any site could be used.
    BadInput
        When the source itself is wrong.
    """
    with helpers(options.jobs) if pool is None else nullcontext(pool) as beside:
        look = partial(_judge_site, source=source, options=options, progress=progress, pool=beside)
        around = _glances(_linked(sites), source=source, options=options, pool=beside)
        parts = [look(site) for site in sites]
        usable = [p for p in parts if p is not None and any(record.status != "skipped" for record in p.scenes)]
        if not usable:
            raise NoUsableImagery(_nothing(sites, parts, source=source))
        elsewhere = around() if any(p.seen for p in usable) else []
    everyone = [*[p for p in parts if p is not None], *elsewhere]
    return [
        _finished(part, everyone, options=options, created=created, source=source) for part in parts if part is not None
    ]


def _nothing(sites: Sequence[Site], parts: Sequence[_Part | None], *, source: Where) -> str:
    asked = ", ".join(site.id for site in sites)
    tried = [item for p in parts if p is not None for item in p.unread if item.failed]
    more = f" ({len(tried)} could not be read: {tried[0].reason})" if tried else ""
    return f"{source}: no scene shows {asked} in the interval and with the sensor asked for{more}"


def stacks_of(site: Site, records: Sequence[SceneRecord], *, source: Where, options: DetectOptions) -> dict[str, Stack]:
    """Read the scenes of records again and prepare them as the run did, for pictures of an answer that is kept.

    Parameters
    ----------
    site : the site that was judged.
    records : of the sensors that pictures are wanted of, all their looks: they are aligned to one another.
    source, options : those of the run.

    Returns
    -------
    dict
        Sensor name, as the records have it, to its stack; scenes that cannot be read now are left out.
    """
    wanted = {record.id: record.sensor for record in records if record.status != "skipped" or record.clear_fraction}
    found = providers.find(site, options.when, source=source, sensor=options.sensor)
    refs = [ref for ref in found.scenes if ref.id in wanted]
    scenes, _ = _read_all(refs, site, jobs=options.jobs, progress=None)
    scenes, _ = checked(scenes, site)
    stacks = {}
    for name in dict.fromkeys(wanted.values()):
        group = sorted((s for s in scenes if wanted[s.ref.id] == name), key=lambda s: (s.ref.when, s.ref.id))
        if group:
            stacks[name] = prepare(group, site, sensor=name, align=_kind(group[0]) != "radar")
    return stacks
