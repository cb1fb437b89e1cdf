"""Detections as the JSON document other programs read, and back. The format is described in docs/formats.md.

Lengths and areas are rounded to 0.1, p-values to four figures, longitudes and latitudes to 7 decimals (1 cm): no
finding is good to more. What is not finite, or could not be measured, is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shapely import Polygon, affinity, box, union_all
from shapely.errors import ShapelyError
from shapely.geometry import mapping, shape
from shapely.geometry.polygon import orient

from rail_watch.errors import BadInput
from rail_watch.observe.records import ApronLook, Car, Detections, Movement, Observation, SceneRecord, TrackLook

SCHEMA = "rail-watch/detections/1"
SET_SCHEMA = "rail-watch/detections-set/1"
LEAST_P = 1e-300
"""No p-value is said to be 0: smaller ones are written as this."""


def schema_path() -> Path:
    """Return the JSON Schema file of the document."""
    return Path(__file__).resolve().parent / "schema" / "detections.schema.json"


# ---- to the document ----------------------------------------------------------------------------------------------


def to_document(detections: Detections) -> dict[str, Any]:
    """Return the document of one site, its members in a fixed order."""
    return {
        "schema": SCHEMA,
        "aoi": detections.site,
        "name": detections.site_name,
        "aoi_sha256": detections.aoi_digest or None,
        "created": _time(detections.created),
        "software": dict(detections.software),
        "parameters": dict(detections.parameters),
        "simulated": any(scene.simulated for scene in detections.scenes),
        "scenes": [_scene(scene) for scene in detections.scenes],
        "observations": {"type": "FeatureCollection", "features": _features(detections)},
        "summary": list(detections.summary),
        "warnings": list(detections.warnings),
    }


def document_set(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return several sites' documents as one."""
    return {"schema": SET_SCHEMA, "documents": list(documents)}


def observations_geojson(detections: Detections | Sequence[Detections]) -> dict[str, Any]:
    """Return the observations of one run or several as one RFC 7946 FeatureCollection, for a GIS."""
    runs = (detections,) if isinstance(detections, Detections) else detections
    return {"type": "FeatureCollection", "features": [feature for run in runs for feature in _features(run)]}


def dumps(document: Mapping[str, Any]) -> str:
    """Return JSON text: the same bytes for the same document, ASCII, and a ValueError rather than NaN."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _time(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _maybe_time(when: datetime | None) -> str | None:
    return None if when is None else _time(when)


def _rounded(value: float | None, digits: int) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits) + 0.0  # + 0.0: never -0.0


def _pair(values: Sequence[float] | None, digits: int) -> list[float | None] | None:
    if values is None or not all(math.isfinite(v) for v in values):
        return None
    return [_rounded(v, digits) for v in values]


def _p(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{min(max(value, LEAST_P), 1.0):.4g}")


def _look(look: TrackLook) -> dict[str, Any]:
    return {
        "track": look.track,
        "role": look.role,
        "visibility": look.visibility,
        "visible_fraction": _rounded(look.visible_fraction, 4),
        "shortest_detectable_m": _rounded(look.shortest_detectable_m, 1),
        "state": look.state,
        "p_value": _p(look.p_value),
        "reason": look.reason,
    }


def _apron(look: ApronLook) -> dict[str, Any]:
    return {
        "apron": look.apron,
        "visibility": look.visibility,
        "visible_fraction": _rounded(look.visible_fraction, 4),
        "fill_fraction": _rounded(look.fill_fraction, 4),
        "fill_fraction_95": _pair(look.fill_fraction_95, 4),
        "smallest_detectable_m2": _rounded(look.smallest_detectable_m2, 1),
        "reason": look.reason,
    }


def _scene(scene: SceneRecord) -> dict[str, Any]:
    return {
        "id": scene.id,
        "datetime": _time(scene.when),
        "platform": scene.platform,
        "sensor": scene.sensor,
        "gsd_m": _rounded(scene.gsd_m, 3),
        "simulated": scene.simulated,
        "status": scene.status,
        "reason": scene.reason,
        "clear_fraction": _rounded(scene.clear_fraction, 4),
        "shift_m": _pair(scene.shift_m, 3),
        "shift_error_m": _rounded(scene.shift_error_m, 3),
        "sun_azimuth_deg": _rounded(scene.sun_azimuth_deg, 2),
        "sun_elevation_deg": _rounded(scene.sun_elevation_deg, 2),
        "credit": scene.credit,
        "tracks": [_look(look) for look in scene.tracks],
        "aprons": [_apron(look) for look in scene.aprons],
        "sha256": dict(sorted(scene.digests.items())),
        "notes": list(scene.notes),
    }


def _ring(ring: Iterable[Sequence[float]]) -> list[list[float]]:
    return [[round(x, 7) + 0.0, round(y, 7) + 0.0] for x, y, *_ in ring]


def _rings(polygon: Polygon) -> list[list[list[float]]]:
    """Outer ring anticlockwise, holes clockwise (RFC 7946, 3.1.6), each from its westernmost corner."""
    return [_ring(ring) for ring in mapping(orient(polygon.normalize(), 1.0))["coordinates"]]


def _geometry(polygon: Polygon) -> dict[str, Any]:
    """GeoJSON of a polygon; what crosses the antimeridian is cut there (RFC 7946, 3.1.9)."""
    west, _, east, _ = polygon.bounds
    if west >= -180 and east <= 180:
        return {"type": "Polygon", "coordinates": _rings(polygon)}
    parts = []
    for turn in (-360, 0, 360):
        cut = polygon.intersection(box(-180 + turn, -90, 180 + turn, 90))
        pieces = [piece for piece in getattr(cut, "geoms", (cut,)) if isinstance(piece, Polygon) and piece.area > 0]
        parts += [_rings(affinity.translate(piece, -turn)) for piece in pieces]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _car(car: Car) -> dict[str, Any]:
    return {
        "start_m": _rounded(car.start_m, 1),
        "end_m": _rounded(car.end_m, 1),
        "rgb": _pair(car.rgb, 4),
        "kind": car.kind,
        "kind_p": _rounded(car.kind_p, 2),
    }


def _movement(of: Movement | None) -> dict[str, Any]:
    return {
        "moving": None if of is None else of.moving,
        "moving_p_value": None if of is None else _p(of.p_value),
        "speed_kmh": None if of is None else _rounded(of.speed_kmh, 1),
        "speed_kmh_95": None if of is None else _pair(of.speed_kmh_95, 1),
        "direction": None if of is None else of.direction,
        "bound_for": None if of is None else of.bound_for,
    }


def _features(detections: Detections) -> list[dict[str, Any]]:
    simulated = {scene.id: scene.simulated for scene in detections.scenes}
    return [_feature(item, simulated=simulated.get(item.scene, False)) for item in detections.observations]


def _feature(item: Observation, *, simulated: bool) -> dict[str, Any]:
    properties = {
        "kind": item.kind,
        "aoi": item.site,
        "scene": item.scene,
        "datetime": _time(item.when),
        "simulated": simulated,
        "track": item.track,
        "tracks": list(item.tracks),
        "apron": item.apron,
        "start_m": _rounded(item.start_m, 1),
        "end_m": _rounded(item.end_m, 1),
        "length_m": _rounded(item.length_m, 1),
        "length_m_95": _pair(item.length_m_95, 1),
        "railcars": item.railcars,
        "railcars_95": None if item.railcars_95 is None else list(item.railcars_95),
        "cars": [_car(car) for car in item.cars],
        "area_m2": _rounded(item.area_m2, 1),
        "area_m2_95": _pair(item.area_m2_95, 1),
        "area_m2_before_95": _pair(item.area_m2_before_95, 1),
        "height_m": _rounded(item.height_m, 1),
        "height_m_95": _pair(item.height_m_95, 1),
        **_movement(item.movement),
        "p_value": _p(item.p_value),
        "likelihood": item.likelihood,
        "change": item.change,
        "last_clear_before": _maybe_time(item.last_clear_before),
        "first_seen": _time(item.first_seen),
        "same_as": item.same_as,
        "same_as_p": _p(item.same_as_p),
        "same_as_aoi": item.same_as_site,
        "same_as_datetime": _maybe_time(item.same_as_when),
        "text": item.text,
    }
    return {"type": "Feature", "id": item.id, "geometry": _geometry(item.geometry), "properties": properties}


# ---- from the document --------------------------------------------------------------------------------------------


def from_document(document: object) -> Detections:
    """Read a document back.

    Raises
    ------
    BadInput
        It is no detections document, or a member is missing or wrong; the line names the member.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise BadInput(f'not a detections document: its "schema" must be "{SCHEMA}"')
    try:
        return _detections(document)
    except KeyError as fault:
        raise BadInput(f"the detections document lacks the member {fault}") from fault
    except (TypeError, ValueError, AttributeError, IndexError, ShapelyError) as fault:
        raise BadInput(f"the detections document has a member of the wrong kind ({fault})") from fault


def _detections(of: Mapping[str, Any]) -> Detections:
    features = of["observations"]["features"]
    return Detections(
        site=of["aoi"],
        site_name=of.get("name") or of["aoi"],
        created=_moment(of["created"]),
        software=dict(of["software"]),
        parameters=dict(of.get("parameters") or {}),
        scenes=tuple(_scene_from(scene) for scene in of["scenes"]),
        observations=tuple(_observation_from(feature, site=of["aoi"]) for feature in features),
        summary=tuple(of["summary"]),
        warnings=tuple(of.get("warnings") or ()),
        aoi_digest=of.get("aoi_sha256") or "",
    )


def _moment(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return when.astimezone(UTC)


def _maybe_moment(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)


def _two(values: Sequence[float] | None) -> tuple[float, float] | None:
    return None if values is None else (float(values[0]), float(values[1]))


def _look_from(of: Mapping[str, Any]) -> TrackLook:
    return TrackLook(
        track=of["track"],
        visibility=of["visibility"],
        visible_fraction=of["visible_fraction"],
        state=of["state"],
        p_value=of["p_value"],
        shortest_detectable_m=of["shortest_detectable_m"],
        reason=of.get("reason"),
        role=of.get("role", "track"),
    )


def _apron_from(of: Mapping[str, Any]) -> ApronLook:
    return ApronLook(
        apron=of["apron"],
        visibility=of["visibility"],
        visible_fraction=of["visible_fraction"],
        fill_fraction=of["fill_fraction"],
        fill_fraction_95=_two(of.get("fill_fraction_95")),
        smallest_detectable_m2=of.get("smallest_detectable_m2"),
        reason=of.get("reason"),
    )


def _scene_from(of: Mapping[str, Any]) -> SceneRecord:
    return SceneRecord(
        id=of["id"],
        when=_moment(of["datetime"]),
        platform=of["platform"],
        sensor=of.get("sensor") or of["platform"] or "unknown sensor",
        gsd_m=of["gsd_m"],
        status=of["status"],
        reason=of["reason"],
        clear_fraction=of["clear_fraction"],
        shift_m=_two(of["shift_m"]),
        shift_error_m=of.get("shift_error_m"),
        sun_azimuth_deg=of.get("sun_azimuth_deg"),
        sun_elevation_deg=of.get("sun_elevation_deg"),
        simulated=bool(of.get("simulated", False)),
        credit=of.get("credit"),
        tracks=tuple(_look_from(row) for row in of["tracks"]),
        aprons=tuple(_apron_from(row) for row in of.get("aprons") or ()),
        digests=dict(of.get("sha256") or {}),
        notes=tuple(of.get("notes") or ()),
    )


def _polygon_from(geometry: Mapping[str, Any]) -> Polygon:
    """Read a polygon; one that was cut at the antimeridian is put together again, past 180 degrees east."""
    read = shape(geometry)
    if read.geom_type == "MultiPolygon":
        turned = [affinity.translate(part, 360) if part.bounds[0] < 0 else part for part in read.geoms]
        read = union_all(turned)
    if not isinstance(read, Polygon) or read.is_empty:
        raise ValueError("an observation's geometry must be one polygon")
    return read


def _car_from(of: Mapping[str, Any]) -> Car:
    red, green, blue = (math.nan,) * 3 if of["rgb"] is None else of["rgb"]
    kind = None if of["kind"] == "unknown" else of["kind"]  # as versions up to 0.1 wrote it
    return Car(of["start_m"], of["end_m"], (red, green, blue), kind, of.get("kind_p"))


def _movement_from(of: Mapping[str, Any]) -> Movement | None:
    p_value = of.get("moving_p_value")
    if p_value is None:
        return None
    return Movement(
        moving=of.get("moving"),
        speed_kmh=of.get("speed_kmh"),
        speed_kmh_95=_two(of.get("speed_kmh_95")),
        p_value=p_value,
        direction=of.get("direction"),
        bound_for=of.get("bound_for"),
    )


def _observation_from(feature: Mapping[str, Any], *, site: str) -> Observation:
    of = feature["properties"]
    cars = of["railcars_95"]
    return Observation(
        id=feature["id"],
        kind=of["kind"],
        site=of.get("aoi") or site,
        scene=of["scene"],
        when=_moment(of["datetime"]),
        geometry=_polygon_from(feature["geometry"]),
        track=of["track"],
        tracks=tuple(of["tracks"]),
        apron=of.get("apron"),
        start_m=of["start_m"],
        end_m=of["end_m"],
        length_m=of["length_m"],
        length_m_95=_two(of["length_m_95"]),
        railcars=of["railcars"],
        railcars_95=None if cars is None else (int(cars[0]), int(cars[1])),
        cars=tuple(_car_from(car) for car in of.get("cars") or ()),
        area_m2=of["area_m2"],
        area_m2_95=_two(of.get("area_m2_95")),
        height_m=of.get("height_m"),
        p_value=of["p_value"],
        likelihood=of["likelihood"],
        change=of.get("change", "unknown"),
        last_clear_before=_maybe_moment(of.get("last_clear_before")),
        first_seen=_moment(of["first_seen"]),
        same_as=of["same_as"],
        same_as_p=of["same_as_p"],
        same_as_site=of.get("same_as_aoi"),
        same_as_when=_maybe_moment(of.get("same_as_datetime")),
        text=of["text"],
        area_m2_before_95=_two(of.get("area_m2_before_95")),
        movement=_movement_from(of),
        height_m_95=_two(of.get("height_m_95")),
    )
