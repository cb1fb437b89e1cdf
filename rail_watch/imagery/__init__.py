"""Imagery: find the scenes of a site in a source, and read their pixels safely."""

from rail_watch.imagery.catalogue import Found, find, sample_imagery_path
from rail_watch.imagery.interval import Interval, parse_interval
from rail_watch.imagery.mosaic import read
from rail_watch.imagery.scene import Asset, Band, Quality, Scene, SceneRef, Unread

__all__ = [
    "Asset",
    "Band",
    "Found",
    "Interval",
    "Quality",
    "Scene",
    "SceneRef",
    "Unread",
    "find",
    "parse_interval",
    "read",
    "sample_imagery_path",
]
