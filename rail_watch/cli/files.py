"""The answer of one run as files: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rail_watch.errors import BadInput
from rail_watch.observe import document

if TYPE_CHECKING:
    from rail_watch.detect import DetectRun
    from rail_watch.report.timelapse import Form


def write_text(path: Path, text: str) -> Path:
    """Write a file beside its place and move it there, so that nobody ever reads half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder, and say plainly when it, or something in it, cannot be written.

    Raises
    ------
    BadInput
        With the file or folder that was refused.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as fault:
        where = fault.filename or folder
        raise BadInput(
            f"{where}: cannot write ({fault.strerror or fault}); choose another folder with --out"
        ) from fault


@dataclass(frozen=True)
class Extras:
    """What is written beside the answer, and how."""

    timelapse: Form | None = None
    """Form of a film of each sensor; None for no film."""
    pdf: bool = False
    language: str = "en"
    """Of pictures and page; the document is in English."""


NOTHING_MORE = Extras()


def write_answer(
    run: DetectRun, folder: Path, *, pool: Executor | None = None, extras: Extras = NOTHING_MORE
) -> list[Path]:
    """Write the document, the observations for a GIS, the PNG reports and the page of one site into a folder.

    Raises
    ------
    BadInput
        The folder cannot be written to.
    """
    from rail_watch.report import write_reports, write_timelapses
    from rail_watch.report.language import spoken

    timelapse = extras.timelapse
    with made(folder), spoken(extras.language):
        answer = document.dumps(document.to_document(run.detections))
        observations = document.dumps(document.observations_geojson(run.detections))
        written = [
            write_text(folder / "detections.json", answer),
            write_text(folder / "observations.geojson", observations),
            *write_reports(run.detections, run.site, run.stacks, folder, pool=pool),
            *(write_timelapses(run.detections, run.site, run.stacks, folder, form=timelapse) if timelapse else ()),
        ]
        return [*written, _pdf(folder)] if extras.pdf else written


def _pdf(folder: Path) -> Path:
    """Set the page just written as a PDF."""
    from rail_watch.report.pdf import pdf
    from rail_watch.report.png import save_bytes

    return save_bytes(pdf((folder / "report.html").read_text(encoding="utf-8")), folder / "report.pdf")
