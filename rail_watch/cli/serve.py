"""``rail-watch serve``: the page over the archive."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from rail_watch.cli.console import note, verbosity_options
from rail_watch.cli.home import home_of, now, reading
from rail_watch.cli.options import cache_folder, source_of
from rail_watch.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from rail_watch.providers import Source

LEAST_TOKEN = 16


@click.command(name="serve")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8765,
    show_default=True,
    help="Port to listen at; 0 takes one that is free.",
)
@click.option(
    "--token", envvar="RAIL_WATCH_TOKEN", metavar="TEXT",
    help="Secret that every visitor must give.  [default: $RAIL_WATCH_TOKEN; none on this machine alone, else one "
    "is made and printed]",
)  # fmt: skip
@click.option(
    "--name", "names", multiple=True, metavar="NAME",
    help="Another host name to answer to, such as watch.example.org. May be repeated.",
)  # fmt: skip
@click.option("--read-only", is_flag=True, help="Show only: take no reviews and save no areas.")
@verbosity_options
@click.pass_context
def command(  # noqa: PLR0917 - one argument for each option
    ctx: click.Context, host: str, port: int, token: str | None, names: tuple[str, ...], read_only: bool
) -> None:
    """Show the archive in a browser: sites, maps, dates side by side, reviews.

    Open the address that is printed; Ctrl-C or SIGTERM ends it. It listens on this machine alone. Any other --host
    needs a token: the printed address holds it, and the browser keeps it from then on. Nothing is encrypted: to reach
    it from another machine, use a tunnel (ssh -L), or put a web server with HTTPS before it.
    """
    try:
        from rail_watch.serve.api import Desk
        from rail_watch.serve.app import listening, serve
        from rail_watch.serve.door import Door
        from rail_watch.serve.pictures import Pictures
        from rail_watch.serve.shelf import Shelf
    except ModuleNotFoundError as fault:
        if fault.name is None or fault.name.split(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise BadInput("the page needs starlette and uvicorn: pip install 'rail-watch[serve]'") from fault
    from rail_watch.archive import archive_place

    token = _token(host, token)
    reading(ctx).close()  # there must be one already
    home, sock = home_of(ctx), listening(host, port)
    taken = sock.getsockname()[1]
    pictures = Pictures(Shelf(cache_folder() / "page"), lambda site: _source(home, site))
    door = Door(
        names=frozenset({"localhost", *(name.lower() for name in names), *({host.lower()} - {"0.0.0.0", "::"})}),
        addresses=not _is_loopback(host),
        token=token,
        secret=secrets.token_hex(32),
        read_only=read_only,
        port=taken,
    )
    click.echo(_address(host, taken, token))
    if not _is_loopback(host):
        note(ctx, "not encrypted: put a server that speaks https, or a tunnel, before it")
    serve(Desk(home, archive_place(home, os.environ), now, pictures), door, sock)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(host: str, given: str | None) -> str | None:
    """Return the token that is asked for; None where only this machine is served and none was given."""
    if given is None:
        return None if _is_loopback(host) else secrets.token_urlsafe(32)
    if len(given) < LEAST_TOKEN or not given.isascii() or not given.isprintable():
        raise BadInput(f"--token: give at least {LEAST_TOKEN} printable ASCII characters, or leave it out")
    return given


def _address(host: str, port: int, token: str | None) -> str:
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    query = "" if token is None else f"?token={quote(token, safe='')}"
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/{query}"


def _source(home: Path, site: str) -> Source | None:
    """Return where a site's imagery lies; of what lies on the network, only what is kept here is shown."""
    from rail_watch.watch.health import watched_with_area

    watched = watched_with_area(home, site)
    return None if watched is None else source_of(watched.source, None, offline=True, cache=True)
