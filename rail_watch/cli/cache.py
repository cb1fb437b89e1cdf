"""``rail-watch cache``: the windows read from the network and kept."""

from __future__ import annotations

import click

from rail_watch.cli.options import CACHE, CACHE_GB, cache_bytes, cache_folder


@click.group(name="cache")
def command() -> None:
    """Look at, or empty, the store of what was read from the network.

    A window is the part of one image file that covers one area of interest. Windows, and what catalogues said of their
    scenes, are kept so that no run reads them twice, and `--offline` can do with them alone.
    """


@command.command()
def info() -> None:
    """Say where the store is, what it holds and how large it may grow."""
    from rail_watch.providers.chips import DEFAULT_LIMIT_BYTES, Chips

    folder = cache_folder()
    count, size = Chips(folder).size()
    limit = cache_bytes() or DEFAULT_LIMIT_BYTES
    click.echo(f"folder   {folder}  ({CACHE} names another)")
    click.echo(f"windows  {count}")
    click.echo(f"size     {size / 1e6:.1f} MB of {limit / 1e9:g} GB  ({CACHE_GB} sets the limit)")


@command.command()
def clear() -> None:
    """Throw away what the store holds."""
    from rail_watch.providers.chips import Chips

    count, size = Chips(cache_folder()).clear()
    click.echo(f"{count} window(s), {size / 1e6:.1f} MB thrown away")
