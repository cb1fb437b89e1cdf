"""What is true of a labelled series: `truth.json` beside the imagery.

The format is fixed by `schema/truth.schema.json`, which says what each member means. In short: per scene and
track the trains that stand there (start and end of the car bodies, metres along the AOI's own line), how much
of the track could be seen, the cargo on the aprons, and the scene's shift.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapely import Polygon
from shapely.geometry import shape

from rail_watch.errors import BadInput

SCHEMA = "rail-watch/truth/1"


@dataclass(frozen=True)
class TrueTrain:
    """One train as it stands in one scene."""

    id: str
    """The same train keeps its id from scene to scene; empty where that is not known."""
    start_m: float
    end_m: float
    railcars: int | None
    visible_fraction: float

    @property
    def length_m(self) -> float:
        """From the first car body's end to the last's."""
        return self.end_m - self.start_m


@dataclass(frozen=True)
class TrueTrack:
    """One track in one scene."""

    track: str
    visible_fraction: float
    """Where nobody could have a reason not to look."""
    in_view_fraction: float
    """What could be seen by eye, whatever the quality layer says."""
    trains: tuple[TrueTrain, ...]


@dataclass(frozen=True)
class TrueApron:
    """One apron in one scene."""

    apron: str
    visible_fraction: float
    fill_fraction: float


@dataclass(frozen=True)
class TruePile:
    """One piece of cargo in one scene."""

    area_m2: float
    visible_fraction: float
    polygon: Polygon
    """Lon/lat."""


@dataclass(frozen=True)
class TrueScene:
    """One scene."""

    id: str
    shift_m: tuple[float, float] | None
    tracks: tuple[TrueTrack, ...]
    aprons: tuple[TrueApron, ...]
    cargo: tuple[TruePile, ...]
    ignored: tuple[Polygon, ...]
    """Lorries and the like on aprons: neither cargo nor a false alarm."""


@dataclass(frozen=True)
class Truth:
    """A labelled series."""

    aoi: str
    gsd_m: float
    scenes: tuple[TrueScene, ...]


def read_truth(path: Path) -> Truth:
    """Read `truth.json`.

    Raises
    ------
    BadInput
        The file cannot be read, is not JSON, or does not say what it must.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give the folder that holds truth.json") from error
    except ValueError as error:
        raise BadInput(f"{path}: not valid JSON ({error}); write it again") from error
    try:
        return parse_truth(document)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def parse_truth(document: object) -> Truth:
    """Turn a truth document into data; unknown members are ignored.

    Raises
    ------
    BadInput
        A member is missing or of the wrong type.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise BadInput(f'not a truth document: "schema" must be "{SCHEMA}"')
    try:
        scenes = tuple(_scene(scene) for scene in document["scenes"])
        return Truth(str(document["aoi"]), float(document["gsd_m"]), scenes)
    except KeyError as error:
        raise BadInput(f"truth lacks the member {error}; see truth.schema.json") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"truth has a member of the wrong type ({error}); see truth.schema.json") from error


def _scene(scene: Mapping[str, Any]) -> TrueScene:
    shift = scene.get("shift_m")
    return TrueScene(
        id=str(scene["id"]),
        shift_m=None if shift is None else (float(shift[0]), float(shift[1])),
        tracks=tuple(_track(track) for track in scene["tracks"]),
        aprons=tuple(
            TrueApron(str(a["apron"]), float(a["visible_fraction"]), float(a["fill_fraction"]))
            for a in scene.get("aprons", ())
        ),
        cargo=tuple(
            TruePile(float(p["area_m2"]), float(p.get("visible_fraction", 1.0)), shape(p["geometry"]))
            for p in scene.get("cargo", ())
        ),
        ignored=tuple(shape(thing["geometry"]) for thing in scene.get("ignored", ())),
    )


def _track(track: Mapping[str, Any]) -> TrueTrack:
    trains = tuple(_train(train) for train in track["trains"])
    visible = float(track["visible_fraction"])
    return TrueTrack(str(track["track"]), visible, float(track.get("in_view_fraction", visible)), trains)


def _train(train: Mapping[str, Any]) -> TrueTrain:
    cars = train.get("railcars")
    return TrueTrain(
        id=str(train.get("id", "")),
        start_m=float(train["start_m"]),
        end_m=float(train["end_m"]),
        railcars=None if cars is None else int(cars),
        visible_fraction=float(train.get("visible_fraction", 1.0)),
    )
