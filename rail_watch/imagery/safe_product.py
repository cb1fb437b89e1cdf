"""A Sentinel-2 product folder (SAFE) as a scene: its XML is its catalogue.

Scale and offset are per band, from the XML: value = (DN + ADD_OFFSET) / QUANTIFICATION_VALUE, where products before
processing baseline 04.00 have no ADD_OFFSET at all (ESA, Sentinel-2 Products Specification Document, 14.9).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from rail_watch.errors import BadCatalogue
from rail_watch.imagery.bands import common_name
from rail_watch.imagery.hrefs import checked_id, resolved
from rail_watch.imagery.interval import parse_time
from rail_watch.imagery.scene import Asset, Band, SceneRef
from rail_watch.imagery.xml_file import Element, each, number_of, read_xml, text_of

DOCUMENTS = ("MTD_MSIL2A.xml", "MTD_MSIL1C.xml")
FINEST = ("B02", "B03", "B04", "B08")
SUFFIXES = (".jp2", ".tif", ".tiff")


@dataclass(frozen=True)
class Calibration:
    """One band of one product: value = DN * scale + offset."""

    scale: float
    offset: float


def document_in(folder: Path) -> Path | None:
    """Return the product's XML in a folder, None where it is no product."""
    return next((folder / name for name in DOCUMENTS if (folder / name).is_file()), None)


def products_in(folder: Path, *, deepest: int = 3) -> Iterator[Path]:
    """Give the product folders in a folder, itself included, in order; links are not followed."""
    if document_in(folder) is not None:
        yield folder
        return
    if deepest < 1:
        return
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.is_symlink() and not inner.name.startswith("."):
            yield from products_in(inner, deepest=deepest - 1)


def calibrations(root: Element, *, name: str) -> dict[str, Calibration]:
    """Return the calibration of every band by its number (B02, B8A, …), as the XML gives it.

    Raises
    ------
    BadCatalogue
        The XML has no usable quantification value, or speaks of offsets without saying of which bands.
    """
    quantity = number_of(root, "BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE")
    if quantity is None or quantity <= 0:
        raise BadCatalogue(f"{name}: no quantification value above zero; is this the product's XML?")
    listed = [*each(root, "BOA_ADD_OFFSET"), *each(root, "RADIO_ADD_OFFSET")]
    numbers = {
        str(info.get("bandId")): _padded(str(info.get("physicalBand"))) for info in each(root, "Spectral_Information")
    }
    found = {band: Calibration(1 / quantity, 0.0) for band in numbers.values()}
    for element in listed:
        band = numbers.get(str(element.get("band_id")))
        try:
            offset = float(element.text or "")
        except ValueError:
            offset = float("nan")
        if band is None or not abs(offset) <= quantity:
            raise BadCatalogue(f"{name}: an offset of no known band, or no number; fetch the XML again")
        found[band] = Calibration(1 / quantity, offset / quantity)
    return found


def _padded(band: str) -> str:
    """Return B02 for B2."""
    return f"B{band[1:]:0>2}"[:8]


def _file(stem: str, folder: Path) -> str | None:
    """Return the image file that a path of the XML (without its suffix) means."""
    for suffix in SUFFIXES:
        try:
            href = resolved(f"{stem}{suffix}", folder=folder, root=folder)
        except BadCatalogue:
            return None
        if Path(href).is_file():
            return href
    return None


def _assets(root: Element, folder: Path, known: dict[str, Calibration]) -> tuple[Asset, ...]:
    """Return the 10 m bands and the scene classification that are there."""
    found: dict[str, Asset] = {}
    for element in each(root, "IMAGE_FILE"):
        stem = (element.text or "").strip()
        parts = stem.rsplit("/", 1)[-1].split("_")
        size = parts[-1] if parts[-1].endswith("m") else "10m"
        word = parts[-2] if parts[-1].endswith("m") and len(parts) > 1 else parts[-1]
        if (word, size) not in {*((band, "10m") for band in FINEST), ("SCL", "20m")} or word in found:
            continue
        href = _file(stem, folder)
        if href is None:
            continue
        if word == "SCL":
            found[word] = Asset(word, href, quality="scl")
            continue
        name = common_name(word, "sentinel-2")
        if name is not None and word in known:
            one = known[word]
            band = Band(name, 1, one.scale, one.offset, nodata=0.0, rule="safe-xml")
            found[word] = Asset(word, href, (band,))
    return tuple(found[key] for key in sorted(found))


def _footprint(root: Element) -> BaseGeometry | None:
    """Return the product's outline; the XML writes latitude first."""
    written = next(each(root, "EXT_POS_LIST"), None)
    try:
        numbers = [float(word) for word in (written.text or "").split()] if written is not None else []
        shape = shapely.Polygon(zip(numbers[1::2], numbers[0::2], strict=False))
    except (ValueError, shapely.errors.ShapelyError):
        return None
    if shape.is_empty or not shape.area > 0:
        return None
    return shape if shape.is_valid else shapely.make_valid(shape)


def _sun(folder: Path) -> tuple[float | None, float | None]:
    """Return (azimuth, elevation) from the granule's own XML, where there is one."""
    granules = sorted(folder.glob("GRANULE/*/MTD_TL.xml"))
    if len(granules) != 1:
        return None, None
    mean = next(each(read_xml(granules[0]), "Mean_Sun_Angle"), None)
    if mean is None:
        return None, None
    zenith = number_of(mean, "ZENITH_ANGLE")
    return number_of(mean, "AZIMUTH_ANGLE"), None if zenith is None else 90 - zenith


def scene_of(folder: Path) -> SceneRef:
    """Return what a product folder says of its scene.

    Raises
    ------
    BadCatalogue
        One line naming the XML file: not a product, or none of its 10 m images are there.
    """
    document = document_in(folder)
    if document is None:
        raise BadCatalogue(f"{folder}: no {' or '.join(DOCUMENTS)} in it")
    root = read_xml(document)
    try:
        when = parse_time(text_of(root, "DATATAKE_SENSING_START", "PRODUCT_START_TIME") or "")
    except ValueError as fault:
        raise BadCatalogue(f"{document}: no time of sensing; is this the product's XML?") from fault
    assets = _assets(root, folder, calibrations(root, name=str(document)))
    if not any(asset.bands for asset in assets):
        raise BadCatalogue(f"{document}: none of the 10 m images it names is there; unpack the whole product")
    azimuth, elevation = _sun(folder)
    orbit = number_of(root, "SENSING_ORBIT_NUMBER")
    properties = {
        "s2:processing_baseline": text_of(root, "PROCESSING_BASELINE"),
        "s2:generation_time": text_of(root, "GENERATION_TIME"),
        "sat:relative_orbit": None if orbit is None else int(orbit),
    }
    return SceneRef(
        id=checked_id((text_of(root, "PRODUCT_URI") or folder.name).removesuffix(".SAFE")),
        when=when,
        platform=(text_of(root, "SPACECRAFT_NAME") or "sentinel-2").lower(),
        gsd_m=10.0,
        assets=assets,
        footprint=_footprint(root),
        constellation="sentinel-2",
        sun_azimuth_deg=azimuth,
        sun_elevation_deg=elevation,
        credit="Contains modified Copernicus Sentinel data",
        properties={key: value for key, value in properties.items() if value is not None},
    )
