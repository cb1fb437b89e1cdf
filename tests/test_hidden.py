"""What hides tracks and what hides aprons: patches that no mask tells of, and the edges of cloud."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from stack_material import grid_of, stack_of

from rail_watch.change.measure import ChangeMap
from rail_watch.imagery.scene import Asset, Quality
from rail_watch.interpret.hidden import CLOUD_EDGE_M, in_sight
from rail_watch.prepare.stack import Stack

GSD_M, SHAPE = 3.0, (60, 80)
PATCH = np.hypot(*(np.mgrid[: SHAPE[0], : SHAPE[1]] - np.array([25, 30])[:, None, None])) <= 9
MASK = Asset("mask", "/nowhere/mask.tif", quality="data-mask")


NOWHERE = np.zeros(SHAPE, dtype=bool)


def seen(
    *,
    light: float,
    masks: tuple[bool, bool] = (True, False),
    flag: Quality | None = None,
    aprons: NDArray[np.bool_] = NOWHERE,
    tracks: NDArray[np.bool_] = NOWHERE,
) -> tuple[Stack, Stack]:
    """Two scenes with a patch of so much of the ground's light; `flag`: what a mask says of other ground."""
    quality = np.full((2, *SHAPE), Quality.CLEAR, np.uint8)
    if flag is not None:
        quality[:, 40:58, 50:70] = flag
    stack = stack_of(np.full((2, 3, *SHAPE), 0.2, np.float32), gsd_m=GSD_M, quality=quality)
    refs = [replace(ref, assets=(MASK,) if mask else ()) for ref, mask in zip(stack.scenes, masks, strict=True)]
    ratio = np.where(PATCH, np.float32(light), np.float32(1))
    same = np.zeros((2, *SHAPE), np.float32)
    several = np.broadcast_to(ratio, (2, 3, *SHAPE))
    change = ChangeMap(grid_of(GSD_M, SHAPE), same, same, several, several, 1)
    return in_sight(replace(stack, scenes=tuple(refs)), change, aprons=aprons, tracks=tracks)


@pytest.mark.parametrize(("light", "kind"), [(1.8, Quality.CLOUD), (0.4, Quality.CLOUD_SHADOW)])
def test_a_patch_hides_aprons_always_and_tracks_where_no_mask_came(light: float, kind: Quality) -> None:
    tracks, aprons = seen(light=light)
    assert (aprons.quality[:, 25, 30] == kind).all()
    assert [int(value) for value in tracks.quality[:, 25, 30]] == [Quality.CLEAR, kind]
    assert (tracks.quality[0] == Quality.CLEAR).all()
    assert (aprons.quality[:, 5, 70] == Quality.CLEAR).all()


@pytest.mark.parametrize("light", [1.8, 0.4])
@pytest.mark.parametrize(("rows", "hides"), [((16, 34), False), ((20, 30), False), ((33, 35), True)])
def test_a_patch_that_keeps_to_the_tracks_is_no_cloud(light: float, rows: tuple[int, int], hides: bool) -> None:
    """Ballast in scenes whose fields have changed, or trains and their shadows: a cloud lies beside the tracks too."""
    tracks, aprons = seen(light=light, masks=(False, False), tracks=_box(*rows, 0, SHAPE[1]))
    for stack in (tracks, aprons):
        assert (stack.quality[:, 25, 30] != Quality.CLEAR).all() == hides


def _box(top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
    out = NOWHERE.copy()
    out[top:bottom, left:right] = True
    return out


@pytest.mark.parametrize("light", [1.8, 0.4])
@pytest.mark.parametrize(
    ("apron", "hides"),
    [
        pytest.param(_box(14, 36, 10, 60), False, id="a heap on an apron, or the ground under one"),
        pytest.param(_box(22, 29, 10, 60), True, id="reaches far beyond the apron"),
        pytest.param(_box(17, 34, 22, 39), True, id="as large as the apron"),
        pytest.param(_box(45, 58, 10, 60), True, id="elsewhere"),
    ],
)
def test_a_patch_that_keeps_to_an_apron_hides_nothing(light: float, apron: NDArray[np.bool_], hides: bool) -> None:
    _, ground = seen(light=light, aprons=apron)
    assert ((ground.quality[:, 25, 30] != Quality.CLEAR) == hides).all()


def test_where_the_product_tells_of_snow_patches_are_snow() -> None:
    tracks, aprons = seen(light=1.8, flag=Quality.SNOW)
    for stack in (tracks, aprons):
        assert set(np.unique(stack.quality)) == {Quality.CLEAR, Quality.SNOW}


@pytest.mark.parametrize("kind", [Quality.CLOUD, Quality.CLOUD_SHADOW])
def test_edges_of_flagged_cloud_hide_tracks_and_aprons(kind: Quality) -> None:
    for stack in seen(light=1.0, flag=kind):
        reach = int(CLOUD_EDGE_M / GSD_M)
        assert (stack.quality[:, 50, 70 + reach - 1] == kind).all()
        assert (stack.quality[:, 50, 50 - reach - 1] == Quality.CLEAR).all()
