"""Put a finding and all it rests on into one file."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rail_watch import aoi, providers
from rail_watch.aoi.document import parse
from rail_watch.aoi.json_file import parse_json
from rail_watch.aoi.site import Site
from rail_watch.detect import DetectRun, Where, software
from rail_watch.errors import BadAoi, BadInput
from rail_watch.evidence import crate
from rail_watch.evidence.container import pack
from rail_watch.evidence.enclose import Kept, check_size, enclose, enclosed
from rail_watch.evidence.replay import Difference, Recorded, differences, options_of, recorded, replay
from rail_watch.imagery.scene import SceneRef
from rail_watch.observe.document import dumps, from_document
from rail_watch.report import write_reports


@dataclass(frozen=True)
class Order:
    """What is to be put together."""

    observation: str
    record: bytes
    """The detections document that holds it."""
    record_name: str
    """For messages."""
    area: bytes
    """The AOI file's bytes."""
    area_name: str
    pixels: bool = True
    """False: leave the windows out, their digests stay."""


@dataclass(frozen=True)
class Bundled:
    """What was put together."""

    path: Path
    scenes: int
    differences: tuple[Difference, ...]
    """What a replay on this machine says otherwise than the record; rounding is none."""


def site_of(data: bytes, name: str) -> Site:
    """Return the site of an AOI file's bytes.

    Raises
    ------
    BadAoi
        With its first fault.
    """
    site, faults = parse(parse_json(data, name=name, error=BadAoi), digest=hashlib.sha256(data).hexdigest())
    if site is None:
        raise BadAoi(f"{name}: {faults[0]}")
    return site


def record_of(data: bytes, name: str, observation: str) -> Recorded:
    """Return one finding of a detections document's bytes.

    Raises
    ------
    BadInput
        It is no such document, or does not hold the finding.
    """
    document = parse_json(data, name=name, error=BadInput)
    try:
        detections = from_document(document)
        return recorded(detections, document if isinstance(document, dict) else {}, observation)
    except BadInput as fault:
        raise BadInput(f"{name}: {fault}") from fault


def _refs(record: Recorded, site: Site, source: Where) -> list[SceneRef]:
    """Return the scenes that were judged together, as the source describes them.

    Raises
    ------
    BadInput
        The source no longer has one of them.
    """
    when = options_of(record.detections.parameters).when
    sensor = record.detections.parameters.get("sensor")
    word = sensor if isinstance(sensor, str) else None
    known = providers.find(site, when, source=source, sensor=word).scenes
    wanted = {one.id for one in record.judged}
    refs = [ref for ref in known if wanted & {one.id for one in (ref, *ref.tiles)}]
    missing = sorted(wanted - {one.id for ref in refs for one in (ref, *ref.tiles)})
    if missing:
        raise BadInput(
            f"{source}: does not hold scene {missing[0]}, on which the finding rests; say with --source where it is"
        )
    return refs


def _names(site: Site) -> dict[str, str]:
    """Return the names of the sites that this one is linked with, as far as they are shipped."""
    shipped = set(aoi.shipped())
    return {name: aoi.read(name).name for name in site.linked if name in shipped}


def make_bundle(order: Order, out: Path, *, source: Where) -> Bundled:
    """Write the bundle of a finding.

    Parameters
    ----------
    order : the finding, the document it stands in, the area's file.
    out : the zip file; replaced where there is one, whole or not at all.
    source : where the imagery is that was judged.

    Raises
    ------
    BadInput
        The area, or the imagery, is not what was judged, or `out` cannot be written.
    """
    record = record_of(order.record, order.record_name, order.observation)
    site = site_of(order.area, order.area_name)
    if (site.id, site.digest) != (record.detections.site, record.detections.aoi_digest):
        raise BadInput(f"{order.area_name}: not the area's version that was judged; give that with --aoi")
    with tempfile.TemporaryDirectory(prefix="rail-watch-") as name:
        root = Path(name).resolve()
        kept = enclose(_refs(record, site, source), site, root)
        refs = enclosed(kept, root)
        check_size(refs)
        run = replay(site, refs, record, root)
        names = _names(site)
        found = [one for one in differences(record, run, names=names) if not one.slight]
        changed = next((one for one in found if one.what.startswith("pixels of")), None)
        if changed is not None:
            raise BadInput(f"{changed.what}: not those that were judged; the source has changed since")
        if run is not None:
            _pictures(record, run, root / "pictures")
        _describe(record, order, kept, refs, root, names=names)
        files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        return Bundled(pack(files, out), len(kept), tuple(found))


def _pictures(record: Recorded, run: DetectRun, folder: Path) -> None:
    """Draw the figures of the scene in which the finding was seen."""
    here = tuple(one for one in record.detections.observations if one.scene == record.observation.scene)
    write_reports(replace(run.detections, observations=here), run.site, run.stacks, folder)
    for path in folder.glob("overview*"):
        path.unlink()  # of all sensors and dates; here only one sensor was judged


def _describe(
    record: Recorded,
    order: Order,
    kept: Sequence[Kept],
    refs: Sequence[SceneRef],
    root: Path,
    *,
    names: dict[str, str],
) -> None:
    """Write all documents beside items, windows and pictures, the list of digests last."""
    (root / "record").mkdir()
    (root / crate.RECORD).write_bytes(order.record)
    feature = next(one for one in record.document["observations"]["features"] if one["id"] == order.observation)
    _text(root / crate.FINDING, dumps({"type": "FeatureCollection", "features": [feature]}))
    (root / crate.AREA).write_bytes(order.area)
    windows = {path.relative_to(root).as_posix(): crate.sha256(path) for path in sorted(root.glob("pixels/*/*"))}
    head = {
        "schema": crate.SCHEMA,
        "observation": order.observation,
        "aoi": record.detections.site,
        "sensor": record.scene.sensor,
        "scenes": [asdict(one) for one in kept],
        "left_out": {} if order.pixels else windows,
        "site_names": names,
        "bundled_with": software(),
    }
    _text(root / crate.HEAD, json.dumps(head, indent=1, allow_nan=False) + "\n")
    if not order.pixels:
        shutil.rmtree(root / "pixels")
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    licences = list(dict.fromkeys(ref.licence for ref in refs if ref.licence))
    _text(root / crate.CRATE, crate.dumps(crate.crate_of(record, files, licences)))
    digests = {name: crate.sha256(path) for name, path in files.items()}
    digests[crate.CRATE] = crate.sha256(root / crate.CRATE)
    _text(root / crate.MANIFEST, crate.manifest_text(digests))


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
