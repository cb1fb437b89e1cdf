"""The archive in PostgreSQL with PostGIS, for those who share one: the same questions, the same answers.

Statements are written for SQLite; what PostgreSQL says otherwise is translated here, in one place: `?` for values,
types, `IS` between values, keys that number themselves, and the R-tree, in whose place stands a table with a geometry
and its GiST index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rail_watch.archive.migrations import STEPS
from rail_watch.archive.store import Archive, statements
from rail_watch.errors import ArchiveFault, BadInput, Busy

LOCK = 0x52575631
"""Key of the advisory lock that the one run holds."""
FOOTPRINT = """CREATE TABLE footprint (
    observation bigint PRIMARY KEY REFERENCES observation (number),
    west double precision NOT NULL,
    east double precision NOT NULL,
    south double precision NOT NULL,
    north double precision NOT NULL,
    box geometry (Polygon, 4326) GENERATED ALWAYS AS (ST_MakeEnvelope(west, south, east, north, 4326)) STORED
)"""
_TYPES = (
    (r"\bINTEGER PRIMARY KEY\b", "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    (r"\bINTEGER\b", "bigint"),
    (r"\bREAL\b", "double precision"),
    # Sorted by code, as SQLite does, whatever language the server speaks.
    (r"\bTEXT\b", 'text COLLATE "C"'),
    (r"\)\s*STRICT(, WITHOUT ROWID)?\s*;", ");"),
)


class NamedRow(tuple[Any, ...]):
    """A row whose values are found by number or by name."""

    names: tuple[str, ...]

    def __new__(cls, values: Sequence[Any], names: tuple[str, ...]) -> NamedRow:
        """Make one row."""
        row = super().__new__(cls, values)
        row.names = names
        return row

    def __getitem__(self, which: Any) -> Any:
        return super().__getitem__(self.names.index(which) if isinstance(which, str) else which)

    def keys(self) -> tuple[str, ...]:
        """Return the names."""
        return self.names


def _rows_of(cursor: Any) -> Any:
    names = tuple(column.name for column in cursor.description or ())
    return lambda values: NamedRow(values, names)


def translated(sql: str) -> str:
    """Return a statement as PostgreSQL wants it."""
    named = sql.replace("%", "%%").replace(" IS ?", " IS NOT DISTINCT FROM ?")
    return named.replace("?", "%s")


def translated_step(sql: str) -> str:
    """Return a statement that makes a table, as PostgreSQL wants it."""
    if "USING rtree" in sql:
        return FOOTPRINT
    for pattern, text in _TYPES:
        sql = re.sub(pattern, text, sql)
    return sql


def shown(address: str) -> str:
    """Return an address without its secrets, for messages."""
    parts = urlsplit(address)
    return f"postgresql://{parts.hostname or 'localhost'}{parts.path}"


class PostgresEngine:
    """One connection."""

    def __init__(self, place: str, connection: Any) -> None:
        self.place = place
        self.connection = connection
        self._inside = False

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Run one statement."""
        return self.connection.execute(translated(sql), tuple(values))

    def begin(self) -> None:
        """Begin a transaction; writers wait for one another as in SQLite."""
        self.connection.execute("BEGIN")
        self._inside = True
        try:
            self.connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK + 1,))
        except BaseException:
            # Else the transaction that failed stays open, and all that is asked later fails with it.
            self.rollback()
            raise

    def commit(self) -> None:
        """End the transaction."""
        self.connection.execute("COMMIT")
        self._inside = False

    def rollback(self) -> None:
        """Undo it; a server that has gone has done so itself."""
        import psycopg

        if self._inside:
            self._inside = False
            try:
                self.connection.execute("ROLLBACK")
            except psycopg.Error:
                self.connection.close()

    @property
    def inside(self) -> bool:
        """Whether a transaction is open."""
        return self._inside

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn what PostgreSQL complains of into one line."""
        import psycopg
        from psycopg import errors

        try:
            yield
        except (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected) as fault:
            raise Busy(f"{self.place}: another process holds the archive; try again when it is done") from fault
        except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction) as fault:
            raise BadInput(f"{self.place}: the archive may not be written to; mend the rights of the user") from fault
        except psycopg.Error as fault:
            text = " ".join(str(fault).split())[:200]
            raise ArchiveFault(f"{self.place}: {text}; what was written before stands; run again") from fault

    @contextmanager
    def only_run(self) -> Iterator[None]:
        """Hold the advisory lock of the one run; it ends with the connection, however that ends."""
        with self.faults():
            held = self.execute("SELECT pg_try_advisory_lock(?)", (LOCK,)).fetchone()[0]
        if not held:
            raise Busy(f"another run works on {self.place}; nothing was done")
        try:
            yield
        finally:
            if not self.connection.closed:
                with self.faults():
                    self.execute("SELECT pg_advisory_unlock(?)", (LOCK,))

    def check(self) -> tuple[str, ...]:
        """Nothing: the server checks its own pages and keys."""
        return ()

    def backup(self, target: Path) -> None:
        """Refuse: PostgreSQL has its own tool for it."""
        raise BadInput(f"{self.place}: copy a PostgreSQL archive with pg_dump")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def open_postgres(address: str, *, patience_s: float) -> Archive:
    """Open an archive in PostgreSQL, making its tables where there are none.

    Raises
    ------
    BadInput
        psycopg or PostGIS is missing, the address is wrong, or a newer rail-watch wrote the archive.
    ArchiveFault
        The server cannot be reached.
    """
    try:
        import psycopg
    except ImportError as fault:
        raise BadInput("psycopg is not installed; pip install 'rail-watch[postgis]'") from fault
    place = shown(address)
    try:
        connection = psycopg.connect(
            address,
            autocommit=True,
            connect_timeout=max(int(patience_s), 2),
            row_factory=_rows_of,
            prepare_threshold=None,
        )
    except psycopg.ProgrammingError as fault:
        # Nor here: of a password with a sign that must be encoded it repeats all.
        raise BadInput(
            f"{place}: not an address of a database; it is postgresql://USER:PASSWORD@HOST/DATABASE?OPTION=VALUE, with "
            "every sign of the password that is no letter or digit written as %XX"
        ) from fault
    except psycopg.OperationalError as fault:
        # Not what the driver says: it may repeat the address with its password.
        raise ArchiveFault(f"{place}: the server cannot be reached, or refuses; run again when it answers") from fault
    engine = PostgresEngine(place, connection)
    archive = Archive(place, engine)
    try:
        with engine.faults():
            connection.execute(f"SET lock_timeout = {int(patience_s * 1000)}")
            connection.execute("SET synchronous_commit = on")
        _migrate(archive, engine)
    except BaseException:
        connection.close()
        raise
    return archive


def _migrate(archive: Archive, engine: PostgresEngine) -> None:
    if archive.value("SELECT to_regclass('rail_watch_version') IS NOT NULL"):
        version = archive.value("SELECT max(version) FROM rail_watch_version") or 0
        if version > len(STEPS):
            raise BadInput(f"{archive.path}: written by a newer rail-watch; update this one or name another")
        if version == len(STEPS):
            return
    if not archive.value("SELECT count(*) FROM pg_extension WHERE extname = 'postgis'"):
        raise BadInput(f"{archive.path}: the database lacks PostGIS; `CREATE EXTENSION postgis` there, as its owner")
    with archive.writing():
        archive.do("CREATE TABLE IF NOT EXISTS rail_watch_version (version bigint PRIMARY KEY)")
        version = archive.value("SELECT max(version) FROM rail_watch_version") or 0
        for number, step in enumerate(STEPS[version:], start=version + 1):
            for statement in statements(step):
                archive.do(translated_step(statement))
            if number == 1:
                archive.do("CREATE INDEX footprint_box ON footprint USING gist (box)")
            archive.do("INSERT INTO rail_watch_version VALUES (?)", (number,))
