"""`report.html`: one page that holds a whole run, needs no other file, and can be read without script.

Every name and text from outside goes through `clean` (no control or bidirectional characters) and the template's
escaping. The page forbids itself every address but its own pictures (Content-Security-Policy, W3C, level 3).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from rail_watch import __version__
from rail_watch.aoi.site import Site
from rail_watch.observe.records import Detections, Observation, SceneRecord
from rail_watch.report import looks
from rail_watch.report.caption import clock, credit, day, sensor, together
from rail_watch.report.language import language, say, term
from rail_watch.report.names import clean
from rail_watch.report.picture import Shown

TEMPLATES = Path(__file__).with_name("template")
MOST_FINDINGS = 12
"""More than this is no key finding; the log below holds everything."""
LONG = 2000


def page(detections: Detections, site: Site, pictures: Sequence[Shown]) -> str:
    """Return the page; `pictures` are the run's figures, the overview first."""
    scenes = sorted(detections.scenes, key=lambda record: (record.when, record.id))
    style, script = _asset("report.css"), _asset("report.js")
    figures = [_figure(one, number) for number, one in enumerate(pictures, start=1)]
    first = {one.scene: f"figure-{number}" for number, one in reversed([*enumerate(pictures, start=1)]) if one.scene}
    return _template().render(
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        version=__version__,
        site={"id": site.id, "name": clean(site.name, 200) or site.id, "accuracy_m": site.accuracy_m},
        say=say,
        lang=language(),
        simulated=say("caption.simulated") if any(record.simulated for record in scenes) else "",
        span=_span(scenes),
        created=looks.minute(detections.created),
        findings=_findings(detections, site, pictures),
        log=[clean(line, LONG) for line in detections.summary],
        grid=looks.grid(detections, site, scenes, first),
        figures=[one for one in figures if one["scene"]],
        overviews=[one for one in figures if not one["scene"]],
        unseen=looks.unseen(site, scenes),
        limits=looks.limits(scenes),
        rate=_rate(detections.parameters),
        scenes=[_provenance(record) for record in scenes],
        credit=clean(credit(scenes), LONG) if scenes else "",
        software=_pairs(detections.software),
        parameters=_pairs({name: value for name, value in detections.parameters.items() if _asked(value)}),
        aoi_digest=clean(detections.aoi_digest, 128),
        aoi_source=clean(site.source or "", LONG),
        warnings=[clean(line, LONG) for line in detections.warnings],
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    place = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return place.get_template("report.html")


@lru_cache(maxsize=2)
def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing may be loaded but pictures in the page, nothing may run but this style and this script."""
    styled, run = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)
    )  # of the text between the tags, to the letter
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{styled}'; script-src 'sha256-{run}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _figure(one: Shown, number: int) -> dict[str, Any]:
    caption = one.caption
    return {
        "id": f"figure-{number}",
        "scene": one.scene,
        "heading": clean(caption.heading, LONG),
        "said": clean(" ".join([*caption.brief, caption.compared]), 2 * LONG),
        "unknown": [clean(line, LONG) for line in caption.unknown],
        "credit": clean(caption.credit, LONG),
        "alt": clean(caption.alt, LONG),
        "file": f"{one.name}.png",
        "source": "data:image/webp;base64," + base64.b64encode(one.webp).decode("ascii"),
        "size": one.size,
        "dates": one.dates,
        "panels": [" ".join(f"{share:.6f}" for share in box) for box in one.panels],
    }


def _findings(detections: Detections, site: Site, pictures: Sequence[Shown]) -> dict[str, Any]:
    """The count of looks with something seen, then for each look the trains and piles that came, in time order."""
    came: dict[str, list[Observation]] = {}
    for one in detections.observations:
        if one.kind != "change" and one.change in ("arrived", "unknown"):
            came.setdefault(one.scene, []).append(one)
    for group in came.values():
        group.sort(key=lambda one: (one.kind == "cargo", one.id))
    told = sorted(came.values(), key=lambda group: (group[0].when, group[0].scene))
    return {
        "head": [clean(one.caption.brief[0], LONG) for one in pictures if not one.scene],
        "told": [
            {
                "when": clock(group[0].when, None),
                "text": clean(" ".join(together(group, site)), LONG),
            }
            for group in told[:MOST_FINDINGS]
        ],
        "more": max(len(told) - MOST_FINDINGS, 0),
        "blind": sum(record.status == "skipped" for record in detections.scenes),
        "looks": len(detections.scenes),
    }


def _span(scenes: Sequence[SceneRecord]) -> str:
    if not scenes:
        return say("page.no_look")
    first, last = day(scenes[0].when), day(scenes[-1].when)
    return first if first == last else say("date.span", first=first, last=last)


def _rate(parameters: Mapping[str, object]) -> str:
    rate = parameters.get("false_alarm_rate")
    return f"{100 * rate:g} %" if isinstance(rate, int | float) and not isinstance(rate, bool) else ""


def _asked(value: object) -> bool:
    """Whether a parameter was given: null, and an interval open on both sides, say nothing to people."""
    return value is not None and not (isinstance(value, list | tuple) and all(part is None for part in value))


def _pairs(of: Mapping[str, object]) -> list[tuple[str, str]]:
    """Names and values as text."""
    texts = ((name, value if isinstance(value, str) else json.dumps(value, default=str)) for name, value in of.items())
    return [(clean(name, 80), clean(text, 400)) for name, text in texts]


def _provenance(record: SceneRecord) -> dict[str, Any]:
    shift = "" if record.shift_m is None else f"{record.shift_m[0]:+.1f}, {record.shift_m[1]:+.1f} m"
    error = "" if record.shift_error_m is None else f" ± {record.shift_error_m:.2f}"
    platform, maker = clean(record.platform or say("page.not_stated"), 80), sensor(record)
    notes = [term("reason", record.reason or ""), record.activity or "", *record.notes]
    return {
        "id": clean(record.id, 120),
        "when": looks.minute(record.when),
        "platform": platform,
        # The pixel size has a column of its own.
        "sensor": "" if maker.startswith(platform) else maker,
        "gsd": f"{record.gsd_m:.3g} m",
        "status": term("status", record.status),
        "seen": f"{100 * record.clear_fraction:.0f} %",
        "shift": shift + error if shift else "–",
        "notes": [clean(note, 400) for note in notes if note],
        "credit": clean(record.credit or say("page.no_credit"), 200),
        "simulated": record.simulated,
        "digests": [(clean(name, 80), clean(digest, 128)) for name, digest in sorted(record.digests.items())],
    }
