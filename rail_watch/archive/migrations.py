"""The tables of the archive, as the steps that made them; `user_version` counts the steps taken.

A step, once released, is never changed: a later one alters what it made.

Times are text in UTC, always with six decimals, so that they sort as they follow. Rows are found again by what they
are (site, scene id, digest of the pixels, version of the software, parameters), never by when they were written: a
step that is done twice finds its own rows and leaves them.
"""

from __future__ import annotations

STEPS: tuple[str, ...] = (
    """
CREATE TABLE site (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE site_version (
    number INTEGER PRIMARY KEY,
    site TEXT NOT NULL REFERENCES site (id),
    digest TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (site, digest)
) STRICT;

-- One product of one acquisition. The same acquisition processed again has other pixels and so a row of its own.
CREATE TABLE scene (
    number INTEGER PRIMARY KEY,
    site_version INTEGER NOT NULL REFERENCES site_version (number),
    id TEXT NOT NULL,
    acquisition TEXT NOT NULL,
    pixels TEXT NOT NULL,
    datetime TEXT NOT NULL,
    platform TEXT,
    sensor TEXT NOT NULL,
    gsd_m REAL NOT NULL,
    simulated INTEGER NOT NULL,
    credit TEXT,
    digests TEXT NOT NULL,
    UNIQUE (site_version, id, pixels)
) STRICT;

CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL,
    started TEXT NOT NULL,
    finished TEXT,
    software TEXT NOT NULL
) STRICT;

-- How far a run has come with a site: waiting, searched, done, failed.
CREATE TABLE run_site (
    run INTEGER NOT NULL REFERENCES run (number),
    site TEXT NOT NULL,
    step TEXT NOT NULL CHECK (step IN ('waiting', 'searched', 'done', 'failed')),
    slot INTEGER,
    scenes INTEGER NOT NULL DEFAULT 0,
    unread INTEGER NOT NULL DEFAULT 0,
    fault TEXT,
    at TEXT NOT NULL,
    PRIMARY KEY (run, site)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_site_by_site ON run_site (site, run);

-- What a source was last seen to list. Scratch knowledge: what it says can be found again by looking again.
CREATE TABLE listing (
    site TEXT NOT NULL,
    scene TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    PRIMARY KEY (site, scene)
) STRICT, WITHOUT ROWID;

CREATE TABLE source_state (
    site TEXT PRIMARY KEY,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE judgement (
    number INTEGER PRIMARY KEY,
    scene INTEGER NOT NULL REFERENCES scene (number),
    software TEXT NOT NULL,
    parameters TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES run (number),
    site TEXT NOT NULL,
    acquisition TEXT NOT NULL,
    datetime TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('used', 'skipped')),
    reason TEXT,
    clear_fraction REAL NOT NULL,
    shift_east_m REAL,
    shift_north_m REAL,
    shift_error_m REAL,
    notes TEXT NOT NULL,
    activity TEXT,
    UNIQUE (scene, software, parameters)
) STRICT;
CREATE INDEX judgement_by_acquisition ON judgement (site, acquisition);
CREATE INDEX judgement_by_time ON judgement (site, datetime);
CREATE INDEX judgement_by_run ON judgement (run);

-- The look log: every track, deck and apron at every scene that was judged, seen or not.
CREATE TABLE look (
    judgement INTEGER NOT NULL REFERENCES judgement (number),
    role TEXT NOT NULL CHECK (role IN ('track', 'bridge', 'apron')),
    place TEXT NOT NULL,
    visibility TEXT NOT NULL,
    visible_fraction REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('occupied', 'empty', 'unknown')),
    p_value REAL,
    detectable REAL,
    fill_fraction REAL,
    fill_low REAL,
    fill_high REAL,
    reason TEXT,
    PRIMARY KEY (judgement, role, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE observation (
    number INTEGER PRIMARY KEY,
    judgement INTEGER NOT NULL REFERENCES judgement (number),
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    place TEXT,
    feature TEXT NOT NULL,
    UNIQUE (judgement, id)
) STRICT;
CREATE INDEX observation_by_id ON observation (id);
CREATE VIRTUAL TABLE footprint USING rtree (observation, west, east, south, north);

-- What an observation was said to be the same as. The earlier one may be of a site that is not in this archive.
CREATE TABLE link (
    observation INTEGER NOT NULL REFERENCES observation (number),
    relation TEXT NOT NULL CHECK (relation IN ('appears-same', 'stands')),
    earlier TEXT NOT NULL,
    earlier_site TEXT NOT NULL,
    earlier_datetime TEXT NOT NULL,
    p REAL,
    PRIMARY KEY (observation, relation)
) STRICT, WITHOUT ROWID;

-- What people say of an observation, beside what the machine said, never over it.
CREATE TABLE review (
    number INTEGER PRIMARY KEY,
    observation TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    at TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('confirm', 'reject', 'correct', 'note')),
    railcars INTEGER,
    length_m REAL,
    note TEXT NOT NULL,
    UNIQUE (observation, reviewer, at)
) STRICT;

-- The outbox: an alert is written with what caused it, in one transaction, and sent afterwards.
CREATE TABLE alert (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    site TEXT NOT NULL,
    kind TEXT NOT NULL,
    datetime TEXT NOT NULL,
    created TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;
CREATE INDEX alert_by_site ON alert (site, kind);

CREATE TABLE delivery (
    alert INTEGER NOT NULL REFERENCES alert (number),
    channel TEXT NOT NULL,
    not_before TEXT NOT NULL,
    digest INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    sent TEXT,
    fault TEXT,
    PRIMARY KEY (alert, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_waiting ON delivery (sent, not_before);

-- The judgement that counts of each acquisition: the latest that could see anything, else the latest.
CREATE VIEW current AS
SELECT j.* FROM judgement AS j
WHERE j.number = (
    SELECT o.number FROM judgement AS o
    WHERE o.site = j.site AND o.acquisition = j.acquisition
    ORDER BY o.status = 'used' DESC, o.number DESC LIMIT 1
);
""",
    # What every night asks is found without reading all nights before it.
    """
CREATE INDEX run_site_checks ON run_site (site, step, run) WHERE slot IS NOT NULL;
CREATE INDEX run_unfinished ON run (number) WHERE finished IS NULL;
CREATE INDEX listing_unsettled ON listing (site, attempts) WHERE settled = 0;
CREATE INDEX alert_by_time ON alert (datetime, key);
CREATE INDEX scene_by_id ON scene (id);
""",
)
"""SQL of each step, from an empty file on."""
