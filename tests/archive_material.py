"""Verdicts made by hand: a yard of two tracks and an apron, its scenes and trains, without a pixel."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shapely import LineString, Polygon, box

from rail_watch.aoi.site import Area, Site, Track
from rail_watch.archive import Archive
from rail_watch.archive.record import Recorded, record
from rail_watch.archive.runs import begin_run
from rail_watch.observe.records import ApronLook, Detections, Observation, SceneRecord, State, TrackLook

START = datetime(2023, 10, 1, 2, 30, tzinfo=UTC)
EAST = 130.6
STEP = 1e-5
"""Degrees of longitude for a metre, nearly enough."""


def site(name: str = "yard", digest: str = "a" * 64) -> Site:
    line = [(EAST, 42.0), (EAST + 600 * STEP, 42.0)]
    tracks = tuple(
        Track(t, t.upper(), LineString([(x, y + 1e-4 * n) for x, y in line])) for n, t in enumerate(("t1", "t2"))
    )
    apron = Area("a1", "Apron", box(EAST, 42.001, EAST + 1e-3, 42.002))
    return Site(name, f"The {name}", box(EAST, 41.99, EAST + 0.01, 42.01), tracks, aprons=(apron,), digest=digest)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def scene(number: int, states: str = "ee", *, name: str | None = None, **changes: object) -> SceneRecord:
    """One scene on day `number`; a letter for each track: e(mpty), o(ccupied), u(nknown)."""
    words: dict[str, State] = {"e": "empty", "o": "occupied", "u": "unknown"}
    looks = tuple(
        TrackLook(
            track,
            "not-visible" if letter == "u" else "clear",
            0.0 if letter == "u" else 1.0,
            words[letter],
            None if letter == "u" else 0.5 if letter == "e" else 1e-9,
            None if letter == "u" else 40.0,
            "cloud" if letter == "u" else None,
        )
        for track, letter in zip(("t1", "t2"), states, strict=True)
    )
    apron = ApronLook("a1", "clear", 1.0, 0.0, (0.0, 0.02), 30.0)
    hidden = set(states) == {"u"}
    made = SceneRecord(
        id=name or f"scene-{number:03d}",
        when=day(number),
        platform="test-sat",
        sensor="test-sat, 3 m",
        gsd_m=3.0,
        status="skipped" if hidden else "used",
        reason="cloud" if hidden else None,
        clear_fraction=0.0 if hidden else 1.0,
        shift_m=(0.1, -0.1),
        shift_error_m=0.1,
        sun_azimuth_deg=None,
        sun_elevation_deg=None,
        simulated=True,
        credit="SIMULATED",
        tracks=looks,
        aprons=() if hidden else (apron,),
        digests={"image": f"{number:064x}"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def outline(start_m: float, end_m: float) -> Polygon:
    return box(EAST + start_m * STEP, 41.99998, EAST + end_m * STEP, 42.00002)


def train(number: int, start_m: float = 100.0, end_m: float = 300.0, **changes: object) -> Observation:
    """Return a train on t1 on day `number`."""
    track = str(changes.pop("track", "t1"))
    made = Observation(
        id=f"train-{number:03d}-{track}-{start_m:g}-{end_m:g}",
        kind="train",
        site="yard",
        scene=f"scene-{number:03d}",
        when=day(number),
        geometry=outline(start_m, end_m),
        track=track,
        tracks=(track,),
        apron=None,
        start_m=start_m,
        end_m=end_m,
        length_m=end_m - start_m,
        length_m_95=(end_m - start_m - 5, end_m - start_m + 5),
        railcars=int((end_m - start_m) / 14),
        railcars_95=(int((end_m - start_m) / 14) - 1, int((end_m - start_m) / 14) + 1),
        cars=(),
        area_m2=None,
        area_m2_95=None,
        height_m=None,
        p_value=1e-9,
        likelihood="almost certain",
        change="unknown",
        last_clear_before=None,
        first_seen=day(number),
        same_as=None,
        same_as_p=None,
        text=f"A train, {end_m - start_m:.0f} m long, stands on {track}.",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def detections(
    scenes: list[SceneRecord],
    seen: list[Observation],
    *,
    version: str = "0.1.0",
    rate: float = 0.01,
    name: str = "yard",
) -> Detections:
    return Detections(
        site=name,
        site_name=f"The {name}",
        created=day(100),
        software={"rail-watch": version},
        parameters={"false_alarm_rate": rate, "datetime": [None, None], "sensor": None},
        scenes=tuple(scenes),
        observations=tuple(seen),
        summary=(),
    )


def keep(archive: Archive, found: Detections, *, of: Site | None = None, run: str = "r1") -> Recorded:
    """Record, as a run does."""
    with archive.writing():
        number = begin_run(archive, run, request={"test": True}, started=day(100), software="0.1.0")
        return record(archive, of or site(), found, run=number)


def home_arguments(archive: Archive) -> list[str]:
    """Return what makes a command use an archive; one in PostgreSQL is named by the environment."""
    return ["--home", str(archive.path.parent)] if isinstance(archive.path, Path) else ["--home", "/no/home/here"]
