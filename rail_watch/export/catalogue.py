"""The answer as a static STAC 1.1 catalogue: a collection for each site, a derived item for each scene judged.

Extensions: processing 1.2.0, classification 2.0.0, file 2.1.0, label 1.0.1. Members of our own begin with
`rail_watch:`. A detections document does not say where scenes lie, so `derived_from` and `source` name them by id.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from shapely import unary_union
from shapely.geometry import box, mapping

from rail_watch.errors import BadInput
from rail_watch.export import table
from rail_watch.observe import document
from rail_watch.observe.records import Detections, SceneRecord

Json = dict[str, Any]

VERSION = "1.1.0"
EXTENSIONS = [
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/label/v1.0.1/schema.json",
]
KINDS = ("train", "train-on-bridge", "cargo", "change")
STATES = (
    (0, "unknown", "could not be seen or judged"),
    (1, "empty", "empty, as far as the scene can tell"),
    (2, "occupied", "a train stands there"),
)
MAX_NAME = 120


def files(runs: Sequence[Detections]) -> dict[str, str]:
    """Return relative path to text of every file; the same answer gives the same bytes.

    Raises
    ------
    BadInput
        Two documents are of one site.
    """
    if len({run.site for run in runs}) < len(runs):
        raise BadInput("two of the documents are of one site; export them apart")
    written: dict[str, str] = {}
    children = []
    taken: set[str] = set()
    for run in runs:
        folder = _name(run.site, taken)
        children.append({"rel": "child", "href": f"./{folder}/collection.json", "type": "application/json"})
        written |= {f"{folder}/{path}": text for path, text in _site(run).items()}
    root = {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": "rail-watch",
        "title": "Observations of rail-watch",
        "description": "What rail-watch saw, and what it could not see, scene by scene. Derived, not imagery.",
        "links": [{"rel": "root", "href": "./catalog.json", "type": "application/json"}, *children],
    }
    return {**written, "catalog.json": document.dumps(root)}


def _name(text: str, taken: set[str]) -> str:
    """Return a name that is safe as a folder on every system, and not yet taken."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:MAX_NAME] or "item"
    name, count = base, 1
    while name.lower() in taken:
        count += 1
        name = f"{base}-{count}"
    taken.add(name.lower())
    return name


def _site(run: Detections) -> dict[str, str]:
    written: dict[str, str] = {}
    links = []
    taken: set[str] = set()
    for scene in sorted(run.scenes, key=lambda record: (record.when, record.id)):
        name = _name(f"{scene.id}_rail-watch", taken)
        links.append({"rel": "item", "href": f"./{name}/{name}.json", "type": "application/geo+json"})
        assets = _data(run, scene)
        item = _item(run, scene, name, assets)
        written |= {f"{name}/{path}": text for path, text in assets.items()}
        written[f"{name}/{name}.json"] = document.dumps(item)
    written["collection.json"] = document.dumps(_collection(run, links))
    return written


def _data(run: Detections, scene: SceneRecord) -> dict[str, str]:
    """Return the files of one item: its observations, and its looks with the state as a number."""
    of_scene = {**vars(run), "scenes": (scene,)}
    of_scene["observations"] = tuple(one for one in run.observations if one.scene == scene.id)
    part = Detections(**of_scene)
    codes = {name: value for value, name, _ in STATES}
    looks = [{**row, "state_value": codes.get(row["state"])} for row in table.looks([part]) if row["role"] != "apron"]
    return {
        "observations.geojson": document.dumps(document.observations_geojson(part)),
        "looks.csv": table.csv_text(looks, (*table.LOOKS, "state_value")),
    }


def _item(run: Detections, scene: SceneRecord, name: str, data: Mapping[str, str]) -> Json:
    seen = [one for one in run.observations if one.scene == scene.id]
    shapes = [one.geometry for one in (seen or run.observations)]
    bounds = None if not shapes else [round(float(side), 7) for side in unary_union(shapes).bounds]
    source = f"urn:rail-watch:scene:{quote(scene.id, safe='')}"
    links = [
        {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
        {"rel": "parent", "href": "../collection.json", "type": "application/json"},
        {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        {"rel": "derived_from", "href": source, "title": scene.id},
        {"rel": "source", "href": source, "title": scene.id},
    ]
    item: Json = {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": EXTENSIONS,
        "id": name,
        "collection": run.site,
        "geometry": None if bounds is None else mapping(box(*bounds)),
        "properties": _properties(run, scene, Counter(one.kind for one in seen)),
        "links": links,
        "assets": {
            "observations": _asset("observations.geojson", data, "application/geo+json", "Observations, outlined"),
            "looks": _asset("looks.csv", data, "text/csv", "State of each track, and what could not be seen"),
        },
    }
    item["assets"]["looks"]["classification:classes"] = [
        {"value": value, "name": state, "description": words} for value, state, words in STATES
    ]
    return item if bounds is None else {**item, "bbox": bounds}


def _properties(run: Detections, scene: SceneRecord, counts: Mapping[str, int]) -> Json:
    when, created = (moment.isoformat().replace("+00:00", "Z") for moment in (scene.when, run.created))
    mark = "SIMULATED " if scene.simulated else ""
    properties: Json = {
        "datetime": when,
        "created": created,
        "title": f"{mark}{run.site_name}: what {scene.id} showed",
        "platform": scene.platform,
        "gsd": scene.gsd_m if scene.gsd_m > 0 else None,
        "processing:software": dict(run.software),
        "processing:level": "L4",
        "processing:datetime": created,
        "processing:lineage": "Masked, aligned and normalised against the other scenes of the sensor; every track "
        "asked whether it looks like itself when empty.",
        "label:type": "vector",
        "label:properties": ["kind"],
        "label:classes": [{"name": "kind", "classes": list(KINDS)}],
        "label:description": "Trains, cargo and changes found by machine, not reviewed",
        "label:tasks": ["detection"],
        "label:methods": ["automated"],
        "label:overviews": [
            {
                "property_key": "kind",
                "counts": [{"name": kind, "count": counts[kind]} for kind in KINDS if counts.get(kind)],
            }
        ],
        "rail_watch:simulated": scene.simulated,
        "rail_watch:status": scene.status,
        "rail_watch:reason": scene.reason,
        "rail_watch:clear_fraction": round(scene.clear_fraction, 4),
        "rail_watch:credit": scene.credit,
        "rail_watch:pixels_sha256": dict(sorted(scene.digests.items())),
        "rail_watch:parameters": dict(run.parameters),
    }
    return {name: value for name, value in properties.items() if value is not None}


def _asset(name: str, data: Mapping[str, str], media: str, title: str) -> Json:
    content = data[name].encode("utf-8")
    return {
        "href": f"./{name}",
        "type": media,
        "title": title,
        "roles": ["data"],
        "file:size": len(content),
        "file:checksum": "1220" + hashlib.sha256(content).hexdigest(),
    }


def _collection(run: Detections, items: Sequence[Json]) -> Json:
    times = sorted(scene.when for scene in run.scenes)
    ends = [times[0], times[-1]] if times else [run.created, run.created]
    bounds = (
        unary_union([one.geometry for one in run.observations]).bounds if run.observations else (-180, -90, 180, 90)
    )
    mark = "SIMULATED " if any(scene.simulated for scene in run.scenes) else ""
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "id": run.site,
        "title": f"{mark}{run.site_name}",
        "description": " ".join([f"{mark}observations at {run.site_name}.", *run.summary[:3]]),
        "license": "other",
        "providers": [{"name": "rail-watch", "roles": ["processor"]}],
        "extent": {
            "spatial": {"bbox": [[round(float(side), 7) for side in bounds]]},
            "temporal": {"interval": [[when.isoformat().replace("+00:00", "Z") for when in ends]]},
        },
        "summaries": {"rail_watch:aoi_sha256": [run.aoi_digest]} if run.aoi_digest else {},
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            *items,
        ],
    }
