"""What surrounds the tracks of a site: the part of a story that never changes from scene to scene.

Places are given along and beside a track or deck of the AOI: `by` names it, and a point is
[metres along it from its first vertex, metres to its left].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AlongLeft = tuple[float, float]


@dataclass(frozen=True)
class Path:
    """A line on the ground: a siding, wall or road."""

    by: str
    points: tuple[AlongLeft, ...]
    kind: str = ""
    """Roads: a material. Walls: `posts` puts a watch post every 50 m."""
    width_m: float = 0.0


@dataclass(frozen=True)
class Block:
    """A box on the ground: a building, platform or paved place."""

    by: str
    at: AlongLeft
    size_m: tuple[float, float]
    kind: str
    """Building: a roof. Platform or paving: a material."""
    height_m: float = 0.0
    """Buildings: of the eaves."""


@dataclass(frozen=True)
class Village:
    """Rows of like houses."""

    by: str
    at: AlongLeft
    rows: int
    columns: int


@dataclass(frozen=True)
class Truss:
    """A bridge of through trusses."""

    bridge: str
    spans_m: tuple[float, ...]
    """From the deck's first vertex."""
    trussed: tuple[int, ...]
    """Numbers of the spans that have a truss, from 0."""
    height_m: float = 10.0
    width_m: float = 7.2
    above_water_m: float = 7.0


@dataclass(frozen=True)
class Scenery:
    """Everything about a site that the AOI does not say."""

    sidings: tuple[Path, ...] = ()
    walls: tuple[Path, ...] = ()
    roads: tuple[Path, ...] = ()
    paved: tuple[Block, ...] = ()
    platforms: tuple[Block, ...] = ()
    buildings: tuple[Block, ...] = ()
    villages: tuple[Village, ...] = ()
    trusses: tuple[Truss, ...] = ()
    water: tuple[str, ...] = ()
    """Ids of exclusions that are water; the river runs on beyond them."""
    masts_by: tuple[str, ...] = ()
    """Tracks with a line of catenary masts."""
    trees_per_ha: float = 6.0
    fields: bool = True
    apron: str = "concrete"
    """What aprons are made of."""
    tone: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Factors on the reflectance of all ground, blue green red nir: other soils, other stone."""


PLAIN: dict[str, type[Any]] = {"trees_per_ha": float, "fields": bool, "apron": str}


def _points(value: Any) -> tuple[AlongLeft, ...]:
    return tuple((float(a), float(b)) for a, b in value)


def _path(value: Mapping[str, Any]) -> Path:
    return Path(
        str(value["by"]), _points(value["points"]), str(value.get("kind", "")), float(value.get("width_m", 0.0))
    )


def block_of(value: Mapping[str, Any]) -> Block:
    """Return a block given as JSON."""
    return Block(
        str(value["by"]),
        _points([value["at"]])[0],
        _points([value["size_m"]])[0],
        str(value["kind"]),
        float(value.get("height_m", 0.0)),
    )


def _village(value: Mapping[str, Any]) -> Village:
    return Village(
        str(value["by"]),
        _points([value["at"]])[0],
        int(value["rows"]),
        int(value["columns"]),
    )


def _truss(value: Mapping[str, Any]) -> Truss:
    spans = tuple(float(span) for span in value["spans_m"])
    return Truss(str(value["bridge"]), spans, tuple(int(n) for n in value["trussed"]))


def scenery_of(value: Mapping[str, Any]) -> Scenery:
    """Return the scenery a story gives as JSON.

    Raises
    ------
    KeyError, TypeError, ValueError
        A member is missing or of the wrong type; the caller names the file.
    """
    makers = {
        "sidings": _path,
        "walls": _path,
        "roads": _path,
        "paved": block_of,
        "platforms": block_of,
        "buildings": block_of,
        "villages": _village,
        "trusses": _truss,
    }
    unknown = set(value) - set(Scenery.__dataclass_fields__)
    if unknown:
        raise ValueError(f"scenery knows no {', '.join(sorted(unknown))}")
    given: dict[str, Any] = {name: tuple(make(one) for one in value.get(name, ())) for name, make in makers.items()}
    given |= {name: tuple(str(one) for one in value.get(name, ())) for name in ("water", "masts_by")}
    given |= {name: kind(value[name]) for name, kind in PLAIN.items() if name in value}
    return Scenery(**given)
