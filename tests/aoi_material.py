"""AOI documents made in code for the tests."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

SQUARE = [[130.60, 42.41], [130.62, 42.41], [130.62, 42.43], [130.60, 42.43], [130.60, 42.41]]


def polygon(ring: list[Any], *holes: list[Any]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [ring, *holes]}


def line(*points: list[Any]) -> dict[str, Any]:
    return {"type": "LineString", "coordinates": list(points)}


def feature(role: str | None, geometry: Any, **properties: Any) -> dict[str, Any]:
    named = {} if role is None else {"role": role}
    return {"type": "Feature", "geometry": geometry, "properties": {**named, **properties}}


def document(*features: dict[str, Any], **header: Any) -> dict[str, Any]:
    member = {"schema": "1", "id": "yard", "name": "Test yard", **header}
    return {"type": "FeatureCollection", "rail_watch": member, "features": list(features)}


def good() -> dict[str, Any]:
    """A site with one feature of every role."""
    small = [[130.605, 42.415], [130.606, 42.415], [130.606, 42.416], [130.605, 42.416], [130.605, 42.415]]
    return copy.deepcopy(
        document(
            feature("site", polygon(SQUARE), id="bounds"),
            feature("track", line([130.601, 42.42], [130.61, 42.42], [130.619, 42.421]), id="t1", gauge_mm=1520),
            feature("track", line([130.601, 42.4205], [130.619, 42.4205]), id="t2"),
            feature("bridge", line([130.612, 42.412], [130.618, 42.414]), id="deck", deck_width_m=5.5),
            feature("apron", polygon(small), id="a1", name="Apron"),
            feature("shed", polygon(small), id="s1"),
            feature("stable", polygon(small), id="ground"),
            feature("exclude", polygon(small), id="river"),
            feature("signal-box", {"type": "Point", "coordinates": [130.6, 42.4]}, id="box"),
            accuracy_m=60,
            source="drawn for a test",
            timezone="Asia/Pyongyang",
            linked=["khasan"],
            mood="unknown members are ignored",
        )
    )


def save(folder: Path, content: Any, name: str = "yard.geojson") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path
