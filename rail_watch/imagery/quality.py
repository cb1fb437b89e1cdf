"""From a product's own classes and masks to the states of `Quality`.

Each function takes the decoded window of one quality file, (band, row, column), and returns (row, column) of
`Quality`. Sources: Sentinel-2 Level-2A Algorithm Theoretical Basis Document (scene classification); Planet, "UDM2
product specification"; USGS LSDS-1619, table of the bits of QA_PIXEL; USGS, Landsat 8 Data Users Handbook, versions
1.0 (pre-Collection quality band) and 4.0 (Collection 1); STAC best practices for the roles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.errors import BadRaster
from rail_watch.imagery.scene import Quality, QualityKind

States = NDArray[np.uint8]
Layer = NDArray[np.generic]

ORDER = (
    Quality.CLEAR,
    Quality.SNOW,
    Quality.SATURATED,
    Quality.CLOUD_SHADOW,
    Quality.CLOUD,
    Quality.READ_FAILED,
    Quality.NODATA,
    Quality.OUTSIDE,
)
"""Where two layers disagree, the later of the two states holds."""
GROW_M = 10.0
"""Cloud and its shadow are widened by this, or by one pixel of the layer where that is more: edges are thin cloud.
A mask of the role `data-mask` is taken as it is: what it excludes need not be cloud."""
CLOUD_PERCENT = 40
"""A cloud probability from here on is called cloud (the default of the Sentinel-2 processor's own mask)."""

_SCL = np.full(256, Quality.NODATA, dtype=np.uint8)
for _classes, _state in (
    ((2, 4, 5, 6, 7), Quality.CLEAR),  # dark ground, vegetation, bare, water, unclassified
    ((1,), Quality.SATURATED),
    ((3,), Quality.CLOUD_SHADOW),
    ((8, 9, 10), Quality.CLOUD),  # medium and high probability, thin cirrus
    ((11,), Quality.SNOW),
):
    _SCL[list(_classes)] = _state


def _whole(layer: Layer, name: str) -> NDArray[np.integer[Any]]:
    """Return the layer as whole numbers; what is no whole number becomes -1."""
    if np.issubdtype(layer.dtype, np.unsignedinteger):
        return cast(NDArray[np.integer[Any]], layer)
    if np.issubdtype(layer.dtype, np.integer):
        return layer.astype(np.int64)
    if not np.issubdtype(layer.dtype, np.floating):
        raise BadRaster(f"a quality layer ({name}) of type {layer.dtype}; whole numbers are needed")
    good = np.isfinite(layer) & (np.abs(layer.astype(np.float64)) < 2**31)
    return np.where(good, layer, -1).astype(np.int64)


def scl(layer: Layer) -> States:
    """Sentinel-2 scene classification. Dark ground and unclassified count as clear."""
    classes = _whole(layer, "scl")[0]
    return _SCL[np.where((classes >= 0) & (classes <= 255), classes, 0)]


def udm2(layer: Layer) -> States:
    """Planet usable data mask: eight bands, or the older single band of bits.

    Light haze counts as clear, heavy haze as cloud. A pixel with no class at all is not known to be clear.
    """
    bands = _whole(layer, "udm2")
    if len(bands) == 1:
        return _udm_bits(bands[0])
    if len(bands) < 8:
        raise BadRaster(f"a udm2 layer of {len(bands)} bands; 8 are needed (or 1, the older udm)")
    clear, snow, shadow, light_haze, heavy_haze, cloud = (band == 1 for band in bands[:6])
    states = np.full(clear.shape, Quality.NODATA, dtype=np.uint8)
    states[clear | light_haze] = Quality.CLEAR
    states[snow] = Quality.SNOW
    states[shadow] = Quality.CLOUD_SHADOW
    states[heavy_haze | cloud] = Quality.CLOUD
    return worst(states, _udm_bits(bands[7] & 0b11111101))


def _udm_bits(bits: NDArray[np.integer[Any]]) -> States:
    """Bit 0 is outside the image, bit 1 cloud, bits 2 to 7 missing or suspect in a band."""
    states = np.full(bits.shape, Quality.CLEAR, dtype=np.uint8)
    states[(bits & 0b10) != 0] = Quality.CLOUD
    states[((bits & 0b11111101) != 0) | (bits < 0)] = Quality.NODATA
    return states


def qa_pixel(layer: Layer) -> States:
    """Landsat Collection 2: fill, dilated cloud, cirrus, cloud, shadow and snow are bits 0 to 5."""
    bits = _whole(layer, "qa-pixel")[0]
    states = np.full(bits.shape, Quality.CLEAR, dtype=np.uint8)
    states[(bits & 0b100000) != 0] = Quality.SNOW
    states[(bits & 0b10000) != 0] = Quality.CLOUD_SHADOW
    states[(bits & 0b1110) != 0] = Quality.CLOUD
    states[((bits & 1) != 0) | (bits < 0)] = Quality.NODATA
    return states


def bqa(layer: Layer) -> States:
    """Landsat's older quality bands, by the values in them.

    Before the Collections each condition but fill is two bits, 01 no, 10 maybe, 11 yes: snow at bit 10, cirrus at 12,
    cloud at 14; a measured pixel always has one of the last set. Collection 1 uses bits 0 to 12 only: cloud at bit 4,
    and confidence in two bits, 11 high, of shadow at 7, snow at 9 and cirrus at 11. So a value of 8192 or more is the
    older kind. Half sure of cloud is called cloud; half sure of snow is not called snow.
    """
    bits = _whole(layer, "bqa")[0]
    older = bool((bits >= 2**13).any())
    cloud_at, cirrus_at, snow_at, sure = (14, 12, 10, 2) if older else (5, 11, 9, 3)
    field = {at: bits >> at & 3 for at in (cloud_at, cirrus_at, snow_at)}
    states = np.full(bits.shape, Quality.CLEAR, dtype=np.uint8)
    states[field[snow_at] == 3] = Quality.SNOW
    if not older:
        states[bits >> 7 & 3 == 3] = Quality.CLOUD_SHADOW
        states[bits >> 4 & 1 == 1] = Quality.CLOUD
    states[(field[cloud_at] >= sure) | (field[cirrus_at] >= sure)] = Quality.CLOUD
    states[(bits & 1 != 0) | (bits <= 0)] = Quality.NODATA
    return states


def data_mask(layer: Layer) -> States:
    """1 is clear. Anything else is not, for a reason the mask does not give: counted as cloud, the likeliest."""
    return np.where(_whole(layer, "data-mask")[0] == 1, Quality.CLEAR, Quality.CLOUD).astype(np.uint8)


def cloud(layer: Layer) -> States:
    """0 is clear, anything else (1) is cloud."""
    return np.where(_whole(layer, "cloud")[0] == 0, Quality.CLEAR, Quality.CLOUD).astype(np.uint8)


def cloud_probability(layer: Layer) -> States:
    """Percent."""
    percent = _whole(layer, "cloud-probability")[0]
    return np.where((percent >= 0) & (percent < CLOUD_PERCENT), Quality.CLEAR, Quality.CLOUD).astype(np.uint8)


MAPPINGS: dict[QualityKind, Callable[[Layer], States]] = {
    "scl": scl,
    "udm2": udm2,
    "qa-pixel": qa_pixel,
    "bqa": bqa,
    "data-mask": data_mask,
    "cloud": cloud,
    "cloud-probability": cloud_probability,
}

_RANK = np.zeros(256, dtype=np.uint8)
_RANK[list(ORDER)] = range(len(ORDER))
_BY_RANK = np.array(ORDER, dtype=np.uint8)

NO_VALUE = np.zeros(256, dtype=np.float32)
"""By state: what makes NaN of a pixel where nothing was measured, and leaves the others, when added."""
NO_VALUE[[Quality.OUTSIDE, Quality.NODATA, Quality.READ_FAILED]] = np.nan


def worst(*layers: States) -> States:
    """Return for every pixel the state that stands latest in `ORDER`."""
    ranks: States | None = None
    for layer in layers[1:]:
        if layer.any():  # else clear everywhere
            ranks = np.maximum(_RANK.take(layers[0]) if ranks is None else ranks, _RANK.take(layer))
    return layers[0] if ranks is None else _BY_RANK.take(ranks)


def grown(states: States, *, pixels: int) -> States:
    """Return the states with cloud, then cloud shadow, widened by a square of so many pixels each way."""
    if pixels < 1:
        return states
    result = states
    for state in (Quality.CLOUD_SHADOW, Quality.CLOUD):
        if not (states == state).any():
            continue
        near = ndimage.maximum_filter((states == state).view(np.uint8), size=2 * pixels + 1, mode="constant")
        result = worst(result, np.where(near, state, Quality.CLEAR).astype(np.uint8))
    return result
