"""A detections document as the scorer reads it: only what can be held against the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shapely import Polygon
from shapely.geometry import shape

from rail_watch.errors import BadInput

SCHEMA = "rail-watch/detections/1"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Claim:
    """One train or piece of cargo said to be there."""

    id: str
    kind: str
    track: str | None
    tracks: tuple[str, ...]
    span: Interval | None
    """Start and end along the track, metres; None for cargo."""
    length_m: float | None
    length_95: Interval | None
    railcars: int | None
    railcars_95: Interval | None
    area_m2: float | None
    polygon: Polygon
    same_as: str | None
    same_as_p: float | None


@dataclass(frozen=True)
class TrackRow:
    """What is said of one track in one scene."""

    state: str
    p_value: float | None
    shortest_m: float | None
    visible_fraction: float
    """1 where the document does not say."""


@dataclass(frozen=True)
class Answer:
    """All that is said of one scene."""

    status: str
    shift_m: Interval | None
    tracks: Mapping[str, TrackRow]
    fill: Mapping[str, float | None]
    """Apron to share covered with cargo, where the document says so itself."""
    claims: tuple[Claim, ...]


def parse_answers(document: object) -> dict[str, Answer]:
    """Scene id to what is said of it.

    Raises
    ------
    BadInput
        It is no detections document, or a member is missing or of the wrong type.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise BadInput(f'not a detections document: "schema" must be "{SCHEMA}"')
    try:
        claims: dict[str, list[Claim]] = {}
        for feature in document["observations"]["features"]:
            claims.setdefault(str(feature["properties"]["scene"]), []).append(_claim(feature))
        return {str(s["id"]): _answer(s, tuple(claims.get(str(s["id"]), ()))) for s in document["scenes"]}
    except KeyError as error:
        raise BadInput(f"detections lack the member {error}; see the detections schema") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"detections have a member of the wrong type ({error}); see the detections schema") from error


def _answer(scene: Mapping[str, Any], claims: tuple[Claim, ...]) -> Answer:
    rows = {
        str(row["track"]): TrackRow(
            str(row["state"]),
            _number(row.get("p_value")),
            _number(row.get("shortest_detectable_m")),
            1.0 if (seen := _number(row.get("visible_fraction"))) is None else seen,
        )
        for row in scene["tracks"]
    }
    fill = {str(a["apron"]): _number(a.get("fill_fraction")) for a in scene.get("aprons") or ()}
    return Answer(str(scene["status"]), _pair(scene.get("shift_m")), rows, fill, claims)


def _claim(feature: Mapping[str, Any]) -> Claim:
    of = feature["properties"]
    track, start, end = of.get("track"), _number(of.get("start_m")), _number(of.get("end_m"))
    cars = of.get("railcars")
    return Claim(
        id=str(feature["id"]),
        kind=str(of["kind"]),
        track=None if track is None else str(track),
        tracks=tuple(str(t) for t in of.get("tracks") or ()),
        span=None if start is None or end is None else (min(start, end), max(start, end)),
        length_m=_number(of.get("length_m")),
        length_95=_pair(of.get("length_m_95")),
        railcars=None if cars is None else int(cars),
        railcars_95=_pair(of.get("railcars_95")),
        area_m2=_number(of.get("area_m2")),
        polygon=shape(feature["geometry"]),
        same_as=of.get("same_as"),
        same_as_p=_number(of.get("same_as_p")),
    )


def _number(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]


def _pair(value: Any) -> Interval | None:
    return None if value is None else (float(value[0]), float(value[1]))
