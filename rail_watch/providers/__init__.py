"""Providers: where imagery comes from, near or far. Above `imagery`, which knows no network."""

from rail_watch.providers.source import Enclosed, Source, find, known_names

__all__ = ["Enclosed", "Source", "find", "known_names"]
