"""The application: its addresses, its files, and the server that listens."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rail_watch import __version__
from rail_watch.errors import BadInput, RailWatchError
from rail_watch.serve import api
from rail_watch.serve.door import Door, Guard
from rail_watch.serve.ground import ground_of
from rail_watch.serve.looks import last_looks, seen_of, site_of
from rail_watch.serve.openapi import CALLS
from rail_watch.serve.pictures import NoPicture

HERE = Path(__file__).parent
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
MOST_AT_ONCE = 64
"""Connections; more are told to come again."""


class _Signed(Convertor[int]):
    """A whole number with a sign, of few enough digits."""

    regex = "-?[0-9]{1,7}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("signed", _Signed())


@dataclass(frozen=True)
class Files:
    """The page's own files, in memory: no path that was asked for ever reaches the disk."""

    contents: dict[str, tuple[bytes, str]]
    digest: str


@lru_cache(maxsize=1)
def files() -> Files:
    """Read them."""
    found = {}
    for path in sorted([*(HERE / "static").iterdir(), *(HERE / "vendor").iterdir()]):
        if path.suffix in TYPES:
            found[path.name] = (path.read_bytes(), TYPES[path.suffix])
    whole = hashlib.sha256()
    for name, (content, _) in found.items():
        whole.update(name.encode() + b"\0" + content)
    return Files(found, whole.hexdigest()[:16])


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def application(desk: api.Desk, door: Door) -> Starlette:
    """Return the application."""

    def page(name: str, title: str, site: str = "") -> Response:
        text = (
            _templates()
            .get_template(name)
            .render(
                title=title,
                site=site,
                csrf="" if door.read_only else door.csrf,
                read_only=door.read_only,
                version=__version__,
                files=files().digest,
                calls=CALLS,
            )
        )
        return Response(text, media_type="text/html")

    async def home(_request: Request) -> Response:
        return page("sites.html", "Sites")

    async def site(request: Request) -> Response:
        return page("site.html", "Site", request.path_params["site"])

    async def about_api(_request: Request) -> Response:
        return page("api.html", "Interface")

    looks = "/api/sites/{site}/looks/{look:signed}"
    app = Starlette(
        routes=[
            Route("/", home),
            Route("/site/{site}", site),
            Route("/static/{digest}/{name}", _file),
            Route("/favicon.ico", _icon),
            Route("/api", about_api),
            Route("/api/openapi.json", api.openapi_document),
            Route("/api/status", api.status),
            Route("/api/sites", api.sites),
            Route("/api/sites/{site}", api.site),
            Route("/api/sites/{site}/history", api.history),
            Route("/api/sites/{site}/history.geojson", api.history_geojson),
            Route("/api/sites/{site}/area", api.area),
            Route(f"{looks}/whole.webp", api.picture),
            Route(f"{looks}/{{level:signed}}/{{column:signed}}/{{row:signed}}.webp", api.picture),
            Route("/api/reviews", api.review, methods=["POST"]),
            Route("/api/areas", api.save_area, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _refused},
    )
    app.add_middleware(Guard, door=door)
    app.state.desk = desk
    return app


async def _file(request: Request) -> Response:
    """Answer with one of the page's own files, whole: ranges of them are not cut."""
    known = files()
    found = known.contents.get(request.path_params["name"])
    if found is None or request.path_params["digest"] != known.digest:
        return JSONResponse({"error": "no such file"}, status_code=404)
    return Response(found[0], media_type=found[1], headers={"cache-control": "private, max-age=31536000, immutable"})


async def _icon(_request: Request) -> Response:
    content, kind = files().contents["icon.svg"]
    return Response(content, media_type=kind, headers={"cache-control": "private, max-age=86400"})


async def _refused(_request: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    return JSONResponse({"error": fault.detail}, status_code=fault.status_code)


class _Server(uvicorn.Server):
    """Ends with status 0 when it is told to: uvicorn's own would die of the signal once more at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        def told(number: int, frame: FrameType | None) -> None:
            self.handle_exit(number, frame)

        before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes one that is free.

    Raises
    ------
    BadInput
        The port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(128)
    except (OSError, OverflowError) as fault:
        made.close()
        reason = getattr(fault, "strerror", None) or str(fault)
        raise BadInput(f"{host}:{port}: cannot listen there ({reason}); name another with --port or --host") from fault
    return made


def serve(desk: api.Desk, door: Door, sock: socket.socket) -> None:
    """Answer until SIGTERM or Ctrl-C."""
    config = uvicorn.Config(
        application(desk, door),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_AT_ONCE,
        h11_max_incomplete_event_size=16_384,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=3,
    )
    threading.Thread(target=warm, args=(desk,), daemon=True).start()
    _Server(config).run(sockets=[sock])


def warm(desk: api.Desk) -> None:
    """Make the pictures that the sites open with; what cannot be made is told when it is asked for."""
    with contextlib.suppress(RailWatchError), desk.reading() as archive:
        wanted = [(site_of(archive, site), seen_of(archive, site, look)) for site, look in last_looks(archive).items()]
        for place, seen in wanted:
            with contextlib.suppress(RailWatchError, NoPicture):
                desk.pictures.whole(ground_of(place), seen)
