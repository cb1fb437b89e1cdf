"""How much of a site a scene shows clearly, from its quality layer alone."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

from rail_watch.aoi.site import Site
from rail_watch.errors import BadInput
from rail_watch.imagery.pixels import quality_part, sheet_of
from rail_watch.imagery.quality import worst
from rail_watch.imagery.scene import Quality, SceneRef, Unread
from rail_watch.imagery.window import lay, site_mask, target_of


def clear_share(ref: SceneRef, site: Site) -> float | str | None:
    """Return the share (0 to 1) of the site's ground that the scene's quality layers call clear or snow.

    None where it has no quality layer; a line that says why where that could not be read.
    """
    layers = tuple(asset for asset in ref.assets if asset.quality is not None)
    if not layers:
        return None
    bare = replace(ref, assets=layers)
    try:
        brought = nullcontext(bare) if ref.access is None else ref.access.brought(bare, site, margin_m=0.0)
        with brought as local:
            return local.reason if isinstance(local, Unread) else _share(local, site)
    except BadInput as fault:
        return str(fault)


def _share(local: SceneRef, site: Site) -> float:
    target = target_of(sheet_of(Path(local.assets[0].href)).grid, site, margin_m=0.0, bands=1)
    states = []
    for asset in local.assets:
        part = quality_part(Path(asset.href), asset, target)
        if part is None:
            return 0.0
        states.append(lay(part.state[None], part.grid, target, fill=int(Quality.OUTSIDE))[0])
    inside = site_mask(site, target)
    return float(np.isin(worst(*states), (Quality.CLEAR, Quality.SNOW))[inside].mean())
