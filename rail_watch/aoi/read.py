"""Find and read AOI files: the shipped ones by name, others by path."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from rail_watch.aoi.document import parse
from rail_watch.aoi.json_file import parse_json, read_bytes
from rail_watch.aoi.site import Site
from rail_watch.errors import BadAoi

MAX_BYTES = 20_000_000
SUFFIXES = (".geojson", ".json")


def _shipped_folder() -> Path | None:
    """Return where the shipped AOIs lie: in the wheel's package data, else at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    if (package / "data" / "aois").is_dir():
        return package / "data" / "aois"
    return checkout / "aois" if (checkout / "pyproject.toml").is_file() and (checkout / "aois").is_dir() else None


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def shipped() -> list[str]:
    """Return the names of the AOIs that come with the package, sorted."""
    folder = _shipped_folder()
    return [] if folder is None else sorted(path.stem for path in folder.glob("*.geojson"))


def _located(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the path meant by a shipped name or a path; a shipped name wins over a file of the same name."""
    text = os.fspath(name_or_path)
    if "\0" in text:
        raise BadAoi("the AOI's path holds a NUL character")
    folder = _shipped_folder()
    if folder is not None and text in shipped():
        return folder / f"{text}.geojson"
    path = Path(text)
    try:
        found = path.exists()
    except OSError:
        found = False
    if not found:
        names = ", ".join(shipped()) or "none"
        raise BadAoi(f"{text[:200]}: no such AOI: give a file, a folder, or one of the shipped names ({names})")
    return path


def _parsed(path: Path) -> tuple[Site | None, tuple[str, ...]]:
    data = read_bytes(path, error=BadAoi, max_bytes=MAX_BYTES)
    return parse(parse_json(data, name=str(path), error=BadAoi), digest=hashlib.sha256(data).hexdigest())


def read(name_or_path: str | os.PathLike[str]) -> Site:
    """Read one AOI.

    Parameters
    ----------
    name_or_path : a shipped name such as ``tumangang``, or a GeoJSON file.

    Raises
    ------
    BadAoi
        One line naming the file and its first fault.
    """
    path = _located(name_or_path)
    if path.is_dir():
        raise BadAoi(f"{path}: a folder where one AOI file is needed")
    site, faults = _parsed(path)
    if site is None:
        more = f" (and {len(faults) - 1} more; see `rail-watch aoi validate`)" if len(faults) > 1 else ""
        raise BadAoi(f"{path}: {faults[0]}{more}")
    return site


def read_document(name_or_path: str | os.PathLike[str]) -> object:
    """Return one AOI file as JSON values, with whatever else it holds; see `read` for what it may be.

    Raises
    ------
    BadAoi
        There is no such file, or it is not JSON.
    """
    path = _located(name_or_path)
    return parse_json(read_bytes(path, error=BadAoi, max_bytes=MAX_BYTES), name=str(path), error=BadAoi)


def read_file(name_or_path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of one AOI file, those that `Site.digest` is of; see `read` for what it may be.

    Raises
    ------
    BadAoi
        There is no such file.
    """
    return read_bytes(_located(name_or_path), error=BadAoi, max_bytes=MAX_BYTES)


def read_many(name_or_path: str | os.PathLike[str]) -> list[Site]:
    """Read one AOI, or every ``.geojson`` and ``.json`` of a folder in order of file name.

    Raises
    ------
    BadAoi
        A file is wrong, the folder holds none, or two of its files carry one id.
    """
    path = _located(name_or_path)
    if not path.is_dir():
        return [read(path)]
    files = _files_in(path)
    if not files:
        raise BadAoi(f"{path}: no .geojson file in this folder")
    owners: dict[str, Path] = {}
    sites = []
    for file in files:
        site = read(file)
        if site.id in owners:
            raise BadAoi(f"{file}: its id {site.id!r} is already that of {owners[site.id].name}; give each its own")
        owners[site.id] = file
        sites.append(site)
    return sites


def validate(name_or_path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return every fault of an AOI file, one line each without the file's name; empty when it is good.

    Raises
    ------
    BadAoi
        There is no such file, or it is not JSON at all.
    """
    path = _located(name_or_path)
    if path.is_dir():
        raise BadAoi(f"{path}: a folder where one AOI file is needed")
    return _parsed(path)[1]
