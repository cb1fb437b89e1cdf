"""The answers in JSON and the pictures; each opens the archive anew, so that a night's run shows at once."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rail_watch.aoi.json_file import parse_json
from rail_watch.archive import Archive, open_archive
from rail_watch.archive.history import document, geojson, history_of
from rail_watch.archive.review import Review, keep_reviews
from rail_watch.archive.store import read_archive
from rail_watch.errors import BadInput, Busy, RailWatchError
from rail_watch.imagery.interval import parse_interval
from rail_watch.serve import areas, openapi
from rail_watch.serve.ground import ground_of
from rail_watch.serve.looks import NotThere, seen_of, site_of, site_view, sites_summary
from rail_watch.serve.pictures import NoPicture, Pictures, Tile
from rail_watch.watch.health import health_of, status_document
from rail_watch.watch.sites import watched_sites

MOST_REVIEW_BYTES = 64_000
REVIEW_MEMBERS = {"observation", "verdict", "reviewer", "railcars", "length_m", "note"}


class TooLarge(BadInput):
    """More was sent than is taken."""


@dataclass(frozen=True)
class Desk:
    """What the answers are made from."""

    home: Path
    place: Path | str
    """Of the archive."""
    clock: Callable[[], datetime]
    pictures: Pictures

    def reading(self) -> Archive:
        """Open the archive to read."""
        return read_archive(self.place)

    def writing(self) -> Archive:
        """Open it to write."""
        return open_archive(self.place)


def fault_answer(fault: Exception) -> Response:
    """Return what the browser is told of a fault."""
    text = str(fault)
    match fault:
        case NotThere() | NoPicture():
            return JSONResponse({"error": text}, status_code=404)
        case TooLarge():
            return JSONResponse({"error": text}, status_code=413)
        case BadInput():
            return JSONResponse({"error": text}, status_code=400)
        case Busy():
            return JSONResponse({"error": text}, status_code=503, headers={"retry-after": "5"})
    return JSONResponse({"error": text}, status_code=500)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


async def _answered(make: Callable[[], Any], kind: str = openapi.JSON) -> Response:
    """Answer with what is made in a thread, as JSON that no page can take for a script."""
    try:
        made = await run_in_threadpool(make)
    except (RailWatchError, NoPicture) as fault:
        return fault_answer(fault)
    return Response(json.dumps(made, allow_nan=False, separators=(",", ":")), media_type=kind)


async def status(request: Request) -> Response:
    """How the watch is doing."""
    desk = _desk(request)

    def make() -> Any:
        with desk.reading() as archive:
            return status_document(health_of(archive, watched_sites(desk.home), desk.clock()))

    return await _answered(make)


async def sites(request: Request) -> Response:
    """Every site with its last look."""
    desk = _desk(request)

    def make() -> Any:
        with desk.reading() as archive:
            return {"sites": sites_summary(archive)}

    return await _answered(make)


async def site(request: Request) -> Response:
    """One site."""
    desk, name = _desk(request), request.path_params["site"]

    def make() -> Any:
        with desk.reading() as archive:
            return site_view(archive, name)

    return await _answered(make)


def _history(request: Request) -> Any:
    desk, name, asked = _desk(request), request.path_params["site"], request.query_params.get("datetime")
    when = (None, None) if asked is None else parse_interval(asked)
    with desk.reading() as archive:
        site_of(archive, name)
        return history_of(archive, name, when)


async def history(request: Request) -> Response:
    """What stood there, and every look."""
    return await _answered(lambda: document(_history(request)))


async def history_geojson(request: Request) -> Response:
    """The stays as features."""
    return await _answered(lambda: geojson(_history(request)), "application/geo+json")


async def area(request: Request) -> Response:
    """The area to edit."""
    desk, name = _desk(request), request.path_params["site"]

    def make() -> Any:
        with desk.reading() as archive:
            return areas.area_to_edit(desk.home, site_of(archive, name))

    return await _answered(make)


async def openapi_document(_request: Request) -> Response:
    """The description of all this."""
    return await _answered(openapi.document)


# ---- pictures -----------------------------------------------------------------------------------------------------


async def picture(request: Request) -> Response:
    """The whole site at one look, or a tile of it."""
    desk, given = _desk(request), request.path_params
    tile = Tile(given["level"], given["column"], given["row"]) if "level" in given else None

    def make() -> bytes:
        with desk.reading() as archive:
            place = site_of(archive, given["site"])
            seen = seen_of(archive, given["site"], given["look"])
        ground = ground_of(place)
        return desk.pictures.whole(ground, seen) if tile is None else desk.pictures.tile(ground, seen, tile)

    try:
        content = await run_in_threadpool(make)
    except (RailWatchError, NoPicture) as fault:
        return fault_answer(fault)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "private, max-age=3600"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=openapi.WEBP, headers=headers)


# ---- what is written ----------------------------------------------------------------------------------------------


async def _sent(request: Request, most: int) -> Any:
    """Return the JSON that was sent, never taking in more than `most` bytes of it."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            raise TooLarge(f"more than {most:,} bytes were sent")
    return parse_json(bytes(content), name="what was sent", error=BadInput)


def _review(given: Any, at: datetime) -> Review:
    if not isinstance(given, dict) or not set(given) <= REVIEW_MEMBERS:
        raise BadInput(f"a review has the members {', '.join(sorted(REVIEW_MEMBERS))}")
    cars, length = given.get("railcars"), given.get("length_m")
    texts = [given.get("observation"), given.get("reviewer"), given.get("verdict"), given.get("note", "")]
    if not all(isinstance(one, str) for one in texts):
        raise BadInput("observation, reviewer, verdict and note are texts")
    whole = cars is None or (isinstance(cars, int) and not isinstance(cars, bool))
    number = length is None or (isinstance(length, int | float) and not isinstance(length, bool))
    if not whole or not number or not -math.inf < (length or 0) < 1e9:
        raise BadInput("railcars is a whole number, length_m a number")
    return Review(
        observation=given["observation"],
        reviewer=given["reviewer"].strip(),
        at=at,
        verdict=given["verdict"],
        railcars=cars,
        length_m=None if length is None else float(length),
        note=given.get("note", "").strip(),
    )


async def review(request: Request) -> Response:
    """Keep one review."""
    desk = _desk(request)
    try:
        given = _review(await _sent(request, MOST_REVIEW_BYTES), desk.clock())
    except BadInput as fault:
        return fault_answer(fault)

    def make() -> Any:
        with desk.writing() as archive:
            return {"kept": keep_reviews(archive, [given])}

    return await _answered(make)


async def save_area(request: Request) -> Response:
    """Save one area."""
    desk = _desk(request)
    try:
        given = await _sent(request, areas.MAX_BYTES)
    except BadInput as fault:
        return fault_answer(fault)

    def make() -> Any:
        saved = areas.save_area(desk.home, given)
        return {"site": saved.site, "version": saved.number, "path": str(saved.path), "digest": saved.digest}

    return await _answered(make)
