"""The archive as lines of JSON, the same for the same content, to compare and to keep.

Numbers of rows, and what only helps to work (which entries a source listed, how often a step was tried), are left
out: an archive whose runs were cut short and taken up again gives the same bytes as one that was never disturbed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from rail_watch.archive.store import Archive, packed

_SCENE = "v.site AS site, v.digest AS site_digest, s.id AS scene, s.pixels AS pixels"
_JUDGED = "judgement AS j JOIN scene AS s ON s.number = j.scene JOIN site_version AS v ON v.number = s.site_version"
_KEY = f"{_SCENE}, j.software AS software, j.parameters AS parameters"
QUESTIONS: dict[str, str] = {
    "site": "SELECT id, name FROM site",
    "site_version": "SELECT site, digest, document FROM site_version",
    "scene": f"SELECT {_SCENE}, s.acquisition, s.datetime, s.platform, s.sensor, s.gsd_m, s.simulated, s.credit, "
    "s.digests FROM scene AS s JOIN site_version AS v ON v.number = s.site_version",
    "run": "SELECT id, request, started, finished, software FROM run",
    "run_site": "SELECT r.id AS run, t.site, t.step, t.slot, t.scenes, t.fault "
    "FROM run_site AS t JOIN run AS r ON r.number = t.run",
    "judgement": f"SELECT {_KEY}, r.id AS run, j.acquisition, j.datetime, j.status, j.reason, j.clear_fraction, "
    "j.shift_east_m, j.shift_north_m, j.shift_error_m, j.notes, j.activity "
    f"FROM {_JUDGED} JOIN run AS r ON r.number = j.run",
    "look": f"SELECT {_KEY}, l.role, l.place, l.visibility, l.visible_fraction, l.state, l.p_value, l.detectable, "
    f"l.fill_fraction, l.fill_low, l.fill_high, l.reason FROM {_JUDGED} JOIN look AS l ON l.judgement = j.number",
    "observation": f"SELECT {_KEY}, o.id, o.kind, o.place, o.feature "
    f"FROM {_JUDGED} JOIN observation AS o ON o.judgement = j.number",
    "link": f"SELECT {_KEY}, o.id AS observation, k.relation, k.earlier, k.earlier_site, k.earlier_datetime, k.p "
    f"FROM {_JUDGED} JOIN observation AS o ON o.judgement = j.number JOIN link AS k ON k.observation = o.number",
    "review": "SELECT observation, reviewer, at, verdict, railcars, length_m, note FROM review",
    "alert": "SELECT key, site, kind, datetime, created, message FROM alert",
    "delivery": "SELECT a.key AS alert, d.channel, CASE WHEN d.sent IS NULL THEN 0 ELSE 1 END AS sent "
    "FROM delivery AS d JOIN alert AS a ON a.number = d.alert",
}
"""Table to the question that gives its rows by what they are."""
_PACKED = ("document", "digests", "request", "parameters", "notes", "feature", "message")


def export_lines(archive: Archive) -> Iterator[str]:
    """Yield one line of JSON for each row, table after table, sorted."""
    for table, question in QUESTIONS.items():
        lines = []
        for row in archive.rows(question):
            values = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a row is no mapping
            for name in _PACKED:
                if isinstance(values.get(name), str):
                    values[name] = json.loads(values[name])
            lines.append(packed({"table": table, **values}))
        yield from sorted(lines)
