"""What the page's own interface is, as an OpenAPI document: one table, from which document and page are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rail_watch import __version__

JSON = "application/json"
WEBP = "image/webp"


@dataclass(frozen=True)
class Call:
    """One thing that can be asked for."""

    method: str
    path: str
    summary: str
    answers: str = JSON
    body: str | None = None
    """Name of the schema that is sent."""
    query: tuple[tuple[str, str], ...] = ()


CALLS = (
    Call("get", "/api/status", "How the watch is doing; the same as: rail-watch status --format json"),
    Call("get", "/api/sites", "The sites of the archive with the state of their last look."),
    Call("get", "/api/sites/{site}", "All that the page of one site shows, shapes also in metres; no pixels."),
    Call(
        "get", "/api/sites/{site}/history",
        "Stays, looks and months; the same as: rail-watch history --aoi SITE --format json",
        query=(("datetime", "Only this ISO 8601 interval, such as 2022-11 or 2022-11-01/.."),),
    ),
    Call(
        "get", "/api/sites/{site}/history.geojson",
        "The stays as features; the same as: rail-watch history --aoi SITE --format geojson",
        answers="application/geo+json",
        query=(("datetime", "Only this ISO 8601 interval."),),
    ),
    Call("get", "/api/sites/{site}/area", "The area of interest to edit: the latest saved, else the one judged."),
    Call("get", "/api/sites/{site}/looks/{look}/whole.webp", "The whole site at one look, north up.", answers=WEBP),
    Call(
        "get", "/api/sites/{site}/looks/{look}/{level}/{column}/{row}.webp",
        "A square of 512 pixels of it: at level z a metre is 2^z pixels; columns run east, rows south of the centre.",
        answers=WEBP,
    ),
    Call("post", "/api/reviews", "Keep a person's word beside the machine's answer.", body="Review"),
    Call("post", "/api/areas", "Save an area of interest as a new version in the home.", body="Area"),
)  # fmt: skip

SCHEMAS: dict[str, Any] = {
    "Review": {
        "type": "object",
        "required": ["observation", "verdict", "reviewer"],
        "additionalProperties": False,
        "properties": {
            "observation": {"type": "string"},
            "verdict": {"enum": ["confirm", "reject", "correct", "note"]},
            "reviewer": {"type": "string", "minLength": 1, "maxLength": 100},
            "railcars": {"type": ["integer", "null"], "minimum": 0, "maximum": 1000},
            "length_m": {"type": ["number", "null"], "minimum": 0, "maximum": 100000},
            "note": {"type": "string", "maxLength": 2000},
        },
    },
    "Area": {
        "type": "object",
        "description": "A GeoJSON FeatureCollection with roles, as docs/formats.md has it.",
        "required": ["type", "rail_watch", "features"],
        "properties": {
            "type": {"const": "FeatureCollection"},
            "rail_watch": {"type": "object"},
            "features": {"type": "array", "items": {"type": "object"}},
        },
    },
    "Fault": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
}


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    paths: dict[str, Any] = {}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rail-watch",
            "version": __version__,
            "summary": "What the archive says, as the command line prints it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _operation(call: Call) -> dict[str, Any]:
    names = [part[1:-1] for part in call.path.replace(".webp", "").split("/") if part.startswith("{")]
    whole = ("look", "level", "column", "row")
    parameters = [
        {"name": name, "in": "path", "required": True,
         "schema": {"type": "integer" if name in whole else "string"}}
        for name in names
    ]  # fmt: skip
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}} for name, text in call.query
    ]
    schema = {"type": "string", "format": "binary"} if call.answers == WEBP else {"type": "object"}
    good = {"description": "As asked.", "content": {call.answers: {"schema": schema}}}
    fault = {"description": "One line of what is wrong.", "content": {JSON: {"schema": _named("Fault")}}}
    operation: dict[str, Any] = {"summary": call.summary, "responses": {"200": good, "default": fault}}
    if call.body is not None:
        parameters.append(
            {"name": "X-CSRF-Token", "in": "header", "required": True, "schema": {"type": "string"},
             "description": "Stands in the page, in the element meta named csrf."}
        )  # fmt: skip
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _named(call.body)}}}
    return operation | ({"parameters": parameters} if parameters else {})


def _named(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
