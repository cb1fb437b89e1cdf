"""What is true of each scene, in the AOI's own terms (format: rail_watch/evaluate/schema/truth.schema.json)."""

from __future__ import annotations

import numpy as np
from pyproj import Geod
from scipy import ndimage
from shapely import LineString, Polygon, contains_xy, maximum_inscribed_circle, points
from shapely.ops import unary_union

from .ground import block_pixels
from .picture import Pile
from .place import Place
from .sensor import Window
from .series import Day, Renderer, Series
from .yard import along, arc

WGS84 = Geod(ellps="WGS84")


def lonlat_ring(place: Place, xy: np.ndarray) -> list[list[float]]:
    """Closed ring of a frame polygon."""
    lon, lat = place.lonlat(*np.vstack([xy, xy[:1]]).T)
    return [[round(float(a), 8), round(float(b), 8)] for a, b in zip(lon, lat, strict=True)]


class Measure:
    """Turns distances along a true track into distances along the AOI's line for it."""

    def __init__(self, series: Series, track_id: str) -> None:
        self.true = next(t for t in series.yard.tracks if t.id == track_id).xy
        line = series.aoi_lines[track_id]
        lon, lat = series.place.lonlat(*line.T)
        self.ground = np.concatenate([[0], np.cumsum(WGS84.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2])])
        self.frame = arc(line)
        self.line = LineString(line)

    @property
    def length(self) -> float:
        """Metres on the ground."""
        return float(self.ground[-1])

    def __call__(self, s) -> np.ndarray:
        at = [self.line.project(p) for p in points(along(self.true, np.atleast_1d(s)))]
        return np.interp(at, self.frame, self.ground)


def clear_mask(shot: dict) -> np.ndarray:
    """True where the ground is really to be seen: in the footprint, no cloud worth the name, no deep cloud shadow."""
    return shot["covered"] & (shot["cloud"] < 0.25) & (shot["shade"] < 0.4)


def usable_mask(shot: dict, gsd: float) -> np.ndarray:
    """True where nobody could have a reason not to look: clear, and 30 m away from what the quality layer flags."""
    return clear_mask(shot) & ~dilated(shot["flagged"], round(30 / gsd))


def scene_truth(renderer: Renderer, day: Day, shot: dict, name: str, measures: dict[str, Measure]) -> dict:
    """One scene's entry."""
    series, window = renderer.series, shot["window"]
    clear, usable = clear_mask(shot), usable_mask(shot, series.gsd)
    return {
        "id": name,
        "datetime": day.when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "shift_m": [round(v, 4) for v in day.shift],
        "clear_fraction": round(float(_sample(series, window, clear, _inside(series.site)).mean()), 4),
        "snow_fraction": round(day.weather.snow, 3),
        "tracks": [_track_truth(series, day, window, (clear, usable), t, measures[t.id]) for t in series.yard.tracks],
        "aprons": _apron_truth(renderer, day, window, usable),
        "cargo": _cargo_truth(series, day, window, usable),
        "ignored": [
            {"what": "vehicle", "geometry": _polygon(series, v.corners)}
            for v in renderer.vehicles(day)
            if v.on == "apron"
        ],
    }


def _inside(site: Polygon) -> np.ndarray:
    """About two thousand points spread over the site."""
    west, south, east, north = site.bounds
    step = np.sqrt(site.area / 2000)
    x, y = (a.ravel() for a in np.meshgrid(np.arange(west, east, step), np.arange(south, north, step)))
    return np.column_stack([x, y])[contains_xy(site, x, y)]


def _sample(series: Series, window: Window, clear: np.ndarray, xy: np.ndarray) -> np.ndarray:
    r, c = (np.round(a).astype(int) for a in window.pixel(*series.place.to_grid(*xy.T)))
    ok = (r >= 0) & (r < window.rows) & (c >= 0) & (c < window.cols)
    out = np.zeros(len(xy), bool)
    out[ok] = clear[r[ok], c[ok]]
    return out


def _track_truth(series: Series, day: Day, window: Window, masks, track, measure: Measure) -> dict:
    s = np.arange(0, track.length, 1.0)
    in_view, seen = (_sample(series, window, mask, along(track.xy, s)) for mask in masks)
    trains = []
    for train in day.trains.get(track.id, []):
        cars = []
        for (a, b), car in zip(train.spans(), train.cars, strict=True):
            low, high = sorted(float(v) for v in measure([a, b]))
            rgb = [round(car.paint[k], 3) for k in (2, 1, 0)]
            cars.append({"start_m": round(low, 2), "end_m": round(high, 2), "kind": car.kind, "rgb": rgb})
        cars.sort(key=lambda c: c["start_m"])
        under = seen[int(train.start) : int(train.start + train.length) + 1]
        trains.append(
            {
                "id": train.id,
                "start_m": cars[0]["start_m"],
                "end_m": max(c["end_m"] for c in cars),
                "railcars": len(cars),
                "visible_fraction": round(float(under.mean()), 4),
                "cars": cars,
            }
        )
    trains.sort(key=lambda t: t["start_m"])
    return {
        "track": track.id,
        "visible_fraction": round(float(seen.mean()), 4),
        "in_view_fraction": round(float(in_view.mean()), 4),
        "state": "occupied" if trains else "empty",
        "trains": trains,
    }


def _apron_truth(renderer: Renderer, day: Day, window: Window, clear: np.ndarray) -> list[dict]:
    series, out = renderer.series, []
    for apron in (b for b in series.yard.blocks if b.role == "apron"):
        area = Polygon(apron.xy)
        piles = unary_union([Polygon(p.xy) for p in day.piles if p.apron == apron.id])
        r, c = block_pixels(renderer.frame, apron.xy)
        pick = slice(None, None, 40)
        xy = np.column_stack(
            [
                renderer.frame.left + (c[pick] + 0.5) * renderer.frame.res,
                renderer.frame.top - (r[pick] + 0.5) * renderer.frame.res,
            ]
        )
        seen = _sample(series, window, clear, xy).mean() if len(xy) else 0.0
        fill = piles.intersection(area).area / area.area
        out.append({"apron": apron.id, "visible_fraction": round(float(seen), 4), "fill_fraction": round(fill, 5)})
    return out


def _polygon(series: Series, xy: np.ndarray) -> dict:
    return {"type": "Polygon", "coordinates": [lonlat_ring(series.place, xy)]}


def _top(pile: Pile) -> float:
    """Height a pile is drawn with: a domed one rises by 0.8 from its edge and may be too narrow for its height."""
    if not pile.domed:
        return pile.height
    return min(pile.height, 0.8 * float(maximum_inscribed_circle(Polygon(pile.xy), tolerance=0.05).length))


def _cargo_truth(series: Series, day: Day, window: Window, clear: np.ndarray) -> list[dict]:
    out = []
    for pile in day.piles:
        seen = _sample(series, window, clear, np.vstack([pile.xy, pile.xy.mean(0)])).mean()
        out.append(
            {
                "id": pile.id,
                "apron": pile.apron,
                "area_m2": round(Polygon(pile.xy).area, 2),
                "height_m": round(_top(pile), 2),
                "visible_fraction": round(float(seen), 4),
                "geometry": _polygon(series, pile.xy),
            }
        )
    return out


def dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A mask grown by some pixels."""
    return ndimage.binary_dilation(mask, iterations=max(pixels, 1)) if mask.any() else mask
