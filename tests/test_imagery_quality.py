"""From products' classes to our states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from rail_watch.errors import BadRaster
from rail_watch.imagery import Quality
from rail_watch.imagery.quality import (
    MAPPINGS,
    ORDER,
    bqa,
    cloud,
    cloud_probability,
    data_mask,
    grown,
    qa_pixel,
    scl,
    udm2,
    worst,
)

CLEAR, NODATA, CLOUD, SHADOW, SNOW = (
    Quality.CLEAR,
    Quality.NODATA,
    Quality.CLOUD,
    Quality.CLOUD_SHADOW,
    Quality.SNOW,
)


def row(*values: int, dtype: str = "uint8") -> NDArray[Any]:
    return np.array([[values]], dtype=dtype)


def test_sentinel_2_classes() -> None:
    states = scl(row(*range(13), 255))[0]
    expected = [
        NODATA, Quality.SATURATED, CLEAR, SHADOW, CLEAR, CLEAR, CLEAR, CLEAR, CLOUD, CLOUD, CLOUD, SNOW, NODATA, NODATA
    ]  # fmt: skip
    assert list(states) == expected


@pytest.mark.parametrize(
    ("bands", "state"),
    [
        ((1, 0, 0, 0, 0, 0, 99, 0), CLEAR),
        ((0, 1, 0, 0, 0, 0, 99, 0), SNOW),
        ((0, 0, 1, 0, 0, 0, 99, 0), SHADOW),
        ((0, 0, 0, 1, 0, 0, 99, 0), CLEAR),
        ((0, 0, 0, 0, 1, 0, 99, 0), CLOUD),
        ((0, 0, 0, 0, 0, 1, 99, 0), CLOUD),
        ((0, 0, 0, 0, 0, 0, 0, 0), NODATA),
        ((1, 0, 0, 0, 0, 0, 99, 1), NODATA),
        ((1, 0, 0, 0, 0, 0, 99, 2), CLEAR),
        ((1, 0, 0, 0, 0, 0, 99, 64), NODATA),
    ],
)
def test_planet_usable_data(bands: tuple[int, ...], state: Quality) -> None:
    assert udm2(np.array(bands, dtype=np.uint8).reshape(8, 1, 1))[0, 0] == state


def test_the_older_planet_mask_is_bits() -> None:
    assert list(udm2(row(0, 1, 2, 3, 4, 128))[0]) == [CLEAR, NODATA, CLOUD, NODATA, NODATA, NODATA]


def test_landsat_bits() -> None:
    # Common values of Collection 2: clear, clear water, cloud high confidence, shadow, snow, cirrus, dilated, fill.
    values = (21824, 21952, 22280, 23888, 30048, 54596, 21826, 1)
    expected = [CLEAR, CLEAR, CLOUD, SHADOW, SNOW, CLOUD, CLOUD, NODATA]
    assert list(qa_pixel(row(*values, dtype="uint16"))[0]) == expected


def test_masks_by_role() -> None:
    assert list(data_mask(row(0, 1, 2))[0]) == [CLOUD, CLEAR, CLOUD]
    assert list(cloud(row(0, 1, 255))[0]) == [CLEAR, CLOUD, CLOUD]
    assert list(cloud_probability(row(0, 39, 40, 100))[0]) == [CLEAR, CLEAR, CLOUD, CLOUD]


@given(
    layer=hnp.arrays(
        st.sampled_from([np.dtype(name) for name in ("u1", "i2", "u2", "i4", "f4", "f8")]), (8, 3, 4),
    ),
    kind=st.sampled_from(sorted(MAPPINGS)),
)  # fmt: skip
def test_any_values_become_states(layer: NDArray[Any], kind: Any) -> None:
    states = MAPPINGS[kind](layer)
    assert states.dtype == np.uint8 and states.shape == (3, 4)
    assert set(np.unique(states)) <= set(ORDER)


def test_a_layer_of_complex_numbers_is_refused() -> None:
    with pytest.raises(BadRaster, match="whole numbers are needed"):
        scl(np.ones((1, 2, 2), dtype=complex))


STATES = hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([int(state) for state in ORDER]))


@given(one=STATES, other=STATES)
def test_the_worse_of_two_states_holds_whatever_their_order(one: NDArray[Any], other: NDArray[Any]) -> None:
    both = worst(one, other)
    np.testing.assert_array_equal(both, worst(other, one))
    np.testing.assert_array_equal(worst(both, one), both)


@given(states=STATES, pixels=st.integers(0, 4))
def test_widening_only_ever_takes_clear_ground(states: NDArray[Any], pixels: int) -> None:
    wide = grown(states, pixels=pixels)
    np.testing.assert_array_equal(worst(wide, states), wide)
    changed = wide != states
    assert set(np.unique(wide[changed])) <= {int(CLOUD), int(SHADOW)}
    np.testing.assert_array_equal(wide == NODATA, states == NODATA)


def test_widening_reaches_as_far_as_told() -> None:
    states = np.zeros((9, 9), dtype=np.uint8)
    states[4, 4] = CLOUD
    wide = grown(states, pixels=2)
    assert (wide == CLOUD).sum() == 25 and wide[2, 2] == CLOUD and wide[1, 4] == CLEAR


def test_landsat_s_older_bits_before_the_collections() -> None:
    # 01 no, 10 maybe, 11 yes, for cloud (bit 14), cirrus (12), snow (10); the last is fill.
    values = (0x5000, 0x5020, 0x9000, 0xD000, 0x7000, 0x5C00, 0x5800, 1)
    assert list(bqa(row(*values, dtype="uint16"))[0]) == [CLEAR, CLEAR, CLOUD, CLOUD, CLOUD, SNOW, CLEAR, NODATA]


def test_landsat_s_older_bits_of_collection_1() -> None:
    # Common values: clear, cloud, high confidence of shadow, of snow, of cirrus, fill.
    values = (2720, 2800, 2976, 3744, 6816, 1)
    assert list(bqa(row(*values, dtype="uint16"))[0]) == [CLEAR, CLOUD, SHADOW, SNOW, CLOUD, NODATA]
