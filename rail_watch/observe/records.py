"""What is said in the end: looks (each track at each scene) and observations. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from shapely import Polygon

Visibility = Literal["clear", "partial", "not-visible"]
State = Literal["occupied", "empty", "unknown"]
Status = Literal["used", "baseline", "skipped"]
Kind = Literal["train", "train-on-bridge", "cargo", "change"]
CarKindName = Literal["locomotive", "box", "gondola", "tank", "flat"]
"""A hopper without a roof counts as a gondola, a flat car with containers as a flat car."""
Direction = Literal["arrived", "departed", "standing", "unknown"]
SUN_ELSEWHERE = "shadows do not fall where the sun stated throws them; their side was taken from the picture"
SUN_SHADOWLESS = "trains throw no shadow where the sun stated should throw one; the sun was not used"


@dataclass(frozen=True)
class TrackLook:
    """One track (or bridge deck) at one scene."""

    track: str
    visibility: Visibility
    visible_fraction: float
    state: State
    p_value: float | None
    """Probability that an empty track looks like this or more so; None when not visible."""
    shortest_detectable_m: float | None
    """Shortest train this scene would have shown here at 90 % probability; None when nothing could be."""
    reason: str | None = None
    """Why it could not be (fully) seen, in words."""
    role: Literal["track", "bridge"] = "track"


@dataclass(frozen=True)
class ApronLook:
    """One apron at one scene."""

    apron: str
    visibility: Visibility
    visible_fraction: float
    fill_fraction: float | None
    """Share of the visible apron covered with cargo; None when it could not be seen."""
    fill_fraction_95: tuple[float, float] | None
    smallest_detectable_m2: float | None
    reason: str | None = None


@dataclass(frozen=True)
class SceneRecord:
    """One scene and what it allowed us to see."""

    id: str
    when: datetime
    platform: str | None
    sensor: str
    gsd_m: float
    status: Status
    reason: str | None
    clear_fraction: float
    shift_m: tuple[float, float] | None
    shift_error_m: float | None
    sun_azimuth_deg: float | None
    sun_elevation_deg: float | None
    simulated: bool
    credit: str | None
    tracks: tuple[TrackLook, ...]
    aprons: tuple[ApronLook, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    activity: str | None = None
    """What radar says of the yard as a whole, in words."""

    @property
    def sun_doubted(self) -> bool:
        """Whether the picture contradicts the sun that was stated."""
        return not {SUN_ELSEWHERE, SUN_SHADOWLESS}.isdisjoint(self.notes)


@dataclass(frozen=True)
class Car:
    """One railcar of a train, seen from above."""

    start_m: float
    end_m: float
    rgb: tuple[float, float, float]
    """Mean reflectance in red, green, blue (0 to 1)."""
    kind: CarKindName | None
    """None where no kind is probable enough, or the sensor is too coarse."""
    kind_p: float | None = None
    """Probability that it is so; None where none is named."""


@dataclass(frozen=True)
class Movement:
    """How a train moved when a scene was taken, told from the delays between its bands."""

    moving: bool | None
    """None: looked for, and cannot be told."""
    speed_kmh: float | None
    """Without a sign; None unless it moved."""
    speed_kmh_95: tuple[float, float] | None
    """None where it cannot be told whether it moved."""
    p_value: float
    """Probability that a standing train looks like this or more so."""
    direction: Literal["forward", "backward"] | None
    """Forward is from the line's first vertex to its last. None: not known, or not moving."""
    bound_for: str | None
    """The same as a point of the compass."""


@dataclass(frozen=True)
class Observation:
    """One thing seen in one scene."""

    id: str
    """Stable across re-runs of the same inputs."""
    kind: Kind
    site: str
    scene: str
    when: datetime
    geometry: Polygon
    """Outline on the ground, lon/lat."""
    track: str | None
    tracks: tuple[str, ...]
    """The tracks it may stand on where the sensor cannot tell them apart; cargo: empty."""
    apron: str | None
    start_m: float | None
    end_m: float | None
    length_m: float | None
    length_m_95: tuple[float, float] | None
    railcars: int | None
    railcars_95: tuple[int, int] | None
    cars: tuple[Car, ...]
    area_m2: float | None
    area_m2_95: tuple[float, float] | None
    height_m: float | None
    """Cargo: above the ground beside it, from its shadow; None where that cannot be measured."""
    p_value: float
    likelihood: str
    """ICD 203 term."""
    change: Direction
    """Against the previous clear look of the same sensor: arrived, standing, departed."""
    last_clear_before: datetime | None
    """Time of the previous clear look at this place, None when there was none."""
    first_seen: datetime
    same_as: str | None
    same_as_p: float | None
    same_as_site: str | None = None
    same_as_when: datetime | None = None
    text: str = ""
    area_m2_before_95: tuple[float, float] | None = None
    """Of the cargo that lay there at the previous clear look, where it is the same heap."""
    movement: Movement | None = None
    """None where the sensor's bands say nothing of it."""
    height_m_95: tuple[float, float] | None = None


@dataclass(frozen=True)
class Detections:
    """Everything one run says of one site."""

    site: str
    site_name: str
    created: datetime
    software: Mapping[str, str]
    parameters: Mapping[str, object]
    scenes: tuple[SceneRecord, ...]
    observations: tuple[Observation, ...]
    summary: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    aoi_digest: str = ""
