"""What lies where in a bundle, its list of digests, and its description as an RO-Crate 1.1."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rail_watch.errors import BadInput
from rail_watch.evidence.container import NAME
from rail_watch.evidence.replay import Recorded

SCHEMA = "rail-watch/bundle/1"
MANIFEST, CRATE, HEAD = "manifest-sha256.txt", "ro-crate-metadata.json", "bundle.json"
RECORD, FINDING, AREA = "record/detections.json", "record/observation.geojson", "aoi.geojson"
NEEDED = (MANIFEST, CRATE, HEAD, RECORD, FINDING, AREA)
MEDIA = {".json": "application/json", ".geojson": "application/geo+json", ".tif": "image/tiff; application=geotiff",
         ".png": "image/png", ".txt": "text/plain"}  # fmt: skip
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://schema.org/sha256"}]
_LINE = re.compile(rf"([0-9a-f]{{64}})  ({NAME.pattern})")


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ---- digests ------------------------------------------------------------------------------------------------------


def manifest_text(digests: Mapping[str, str]) -> str:
    """Return the list of digests, a line for each file, as `sha256sum` reads it."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def manifest_of(path: Path) -> dict[str, str]:
    """Read the list of digests back.

    Raises
    ------
    BadInput
        A line is not of its form.
    """
    out: dict[str, str] = {}
    lines = path.read_bytes().decode("ascii", "backslashreplace").split("\n")
    if lines.pop() != "":
        raise BadInput(f"{MANIFEST}: its last line is not whole")
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or match.group(2) in out:
            raise BadInput(f"{MANIFEST}: line {number} is not a digest and the name of a file")
        out[match.group(2)] = match.group(1)
    return out


def faults_of(listed: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a line for each file that is missing, not listed, or not the one listed."""
    out = [f"{name}: missing" for name in sorted(set(listed) - set(found))]
    out += [f"{name}: is in no list of digests" for name in sorted(set(found) - set(listed) - {MANIFEST})]
    changed = [name for name in sorted(set(listed) & set(found)) if listed[name] != found[name]]
    return out + [f"{name}: changed, its SHA-256 is not the one listed" for name in changed]


# ---- the crate ----------------------------------------------------------------------------------------------------


def _file(name: str, path: Path) -> dict[str, Any]:
    return {
        "@id": name,
        "@type": "File",
        "name": name.rsplit("/", 1)[-1],
        "encodingFormat": MEDIA.get(path.suffix, "application/octet-stream"),
        "contentSize": str(path.stat().st_size),
        "sha256": sha256(path),
    }


def _programs(software: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"@id": f"#{name}", "@type": "SoftwareApplication", "name": name, "softwareVersion": version}
        for name, version in software.items()
    ]


def crate_of(record: Recorded, files: Mapping[str, Path], licences: Sequence[str]) -> dict[str, Any]:
    """Return the RO-Crate's description of a bundle: its files, and the run that made the finding of them."""
    seen = record.detections
    when = seen.created.isoformat().replace("+00:00", "Z")
    entities = [_file(name, files[name]) for name in sorted(files)]
    programs = _programs(seen.software)
    licence = "; ".join(licences) or "as the providers of the imagery have it; see the items"
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{seen.site_name}: observation {record.observation.id}",
        "description": record.observation.text,
        "datePublished": when,
        "license": licence,
        "hasPart": [{"@id": one["@id"]} for one in entities],
        "mentions": {"@id": "#run"},
    }
    about = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    inputs = [name for name in sorted(files) if name.startswith(("items/", "pixels/")) or name == AREA]
    run = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": "rail-watch detect",
        "endTime": when,
        "instrument": [{"@id": one["@id"]} for one in programs],
        "object": [{"@id": name} for name in inputs],
        "result": [{"@id": RECORD}, {"@id": FINDING}],
    }
    return {"@context": CONTEXT, "@graph": [about, root, run, *programs, *entities]}


def crate_faults(document: object, listed: Mapping[str, str]) -> list[str]:
    """Return a line for each file of which the crate says otherwise than the list of digests.

    Raises
    ------
    BadInput
        It is no RO-Crate.
    """
    graph = document.get("@graph") if isinstance(document, dict) else None
    if not isinstance(graph, list) or not all(isinstance(one, dict) for one in graph):
        raise BadInput(f"{CRATE}: not an RO-Crate: it must be an object with a list `@graph` of objects")
    said = {str(one.get("@id")): one.get("sha256") for one in graph if one.get("@type") == "File"}
    wanted = {name: digest for name, digest in listed.items() if name not in (CRATE, MANIFEST)}
    names = sorted(name for name in {*said, *wanted} if said.get(name) != wanted.get(name))
    return [f"{name}: {CRATE} and {MANIFEST} do not agree on it" for name in names]


def dumps(document: Mapping[str, Any]) -> str:
    """Return JSON text, the same for the same document."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
