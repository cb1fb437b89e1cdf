"""Rasterio without its warning that a raster lies nowhere, from any number of threads.

Rasterio warns where a raster has no transform, also of its own rasters in memory before it sets theirs, and then hides
that with `warnings.catch_warnings`. The filters it changes belong to the whole process: a thread that leaves puts back
what it found while another still counts on its own, and the warning comes out, as an error where warnings are errors.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from rasterio.errors import NotGeoreferencedWarning

_FILTERS = threading.RLock()


@contextmanager
def without_warning() -> Generator[None]:
    """Hold back `NotGeoreferencedWarning`, one thread at a time.

    Every call on a threaded path that opens a raster, or that lets rasterio make one in memory (`geometry_mask`,
    `reproject`), stands inside. Keep it short: other threads wait.
    """
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
