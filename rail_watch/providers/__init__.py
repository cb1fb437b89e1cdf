"""Providers: where imagery comes from, near or far. Above `imagery`, which knows no network."""

from rail_watch.providers.source import Source, find, known_names

__all__ = ["Source", "find", "known_names"]
