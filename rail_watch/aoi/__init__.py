"""Areas of interest: what is loaded, and what is judged in it."""

from rail_watch.aoi.read import read, read_document, read_file, read_many, shipped, validate
from rail_watch.aoi.site import Area, Bridge, Site, Track

__all__ = ["Area", "Bridge", "Site", "Track", "read", "read_document", "read_file", "read_many", "shipped", "validate"]
