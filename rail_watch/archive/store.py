"""Open the archive, bring it up to date, and say in one line what is wrong when it cannot be used."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from rail_watch.archive.migrations import STEPS
from rail_watch.errors import ArchiveFault, BadInput, Busy

Row = sqlite3.Row
APPLICATION_ID = 0x52575631
"""Marks the file as an archive of rail-watch ("RWV1")."""
PATIENCE_S = 10.0
"""How long to wait for another process that holds the archive."""


def moment(when: datetime) -> str:
    """Return a time as the archive keeps it."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def time_of(text: str) -> datetime:
    """Read a time of the archive."""
    return datetime.fromisoformat(text).astimezone(UTC)


def packed(value: object) -> str:
    """Return JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """Turn what SQLite complains of into one line.

    Raises
    ------
    Busy
        Another process holds the archive.
    BadInput
        The file is no archive, or may not be written to.
    ArchiveFault
        Disk full, or the file is damaged.
    """
    try:
        yield
    except sqlite3.Error as fault:
        text = str(fault)
        if "locked" in text or "busy" in text:
            raise Busy(f"{path}: another process holds the archive; try again when it is done") from fault
        if "readonly" in text or "unable to open" in text:
            raise BadInput(
                f"{path}: the archive cannot be opened for writing ({text}); mend the rights of file and folder, "
                "or name another folder with --home"
            ) from fault
        if "not a database" in text:
            raise BadInput(
                f"{path}: no archive of rail-watch; move it away or name another folder with --home"
            ) from fault
        mend = "make room" if "full" in text else "make sure of the disk, then `rail-watch archive check`"
        raise ArchiveFault(f"{path}: {text}; what was written before stands; {mend} and run again") from fault


class Engine(Protocol):
    """What differs between SQLite and PostgreSQL."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Run one statement, with `?` for values; return a cursor."""

    def begin(self) -> None:
        """Begin a transaction that may write."""

    def commit(self) -> None:
        """End it."""

    def rollback(self) -> None:
        """Undo it; harmless where there is none."""

    @property
    def inside(self) -> bool:
        """Whether a transaction is open."""

    def faults(self) -> AbstractContextManager[None]:
        """Turn what the database complains of into one line."""

    def only_run(self) -> AbstractContextManager[None]:
        """Be the only run on this archive, on whatever machine; Busy where there is another."""

    def check(self) -> tuple[str, ...]:
        """Return what is found wrong."""

    def backup(self, target: Path) -> None:
        """Copy the archive to a file."""

    def close(self) -> None:
        """Let go of the database."""


class Archive:
    """An open archive. Every change is made inside `writing`; what is not finished there never was."""

    def __init__(self, path: Path | str, engine: Engine) -> None:
        self.path = path
        """Where it lies, to be named in messages."""
        self.engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self.engine.close()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return every row of a question."""
        with self.engine.faults():
            found: list[Row] = self.engine.execute(sql, values).fetchall()
            return found

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """Return the first row of a question, None where there is none."""
        with self.engine.faults():
            first: Row | None = self.engine.execute(sql, values).fetchone()
            return first

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Return the first value of the first row, None where there is none."""
        row = self.row(sql, values)
        return None if row is None else row[0]

    def do(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Change something; return how many rows were changed. Only inside `writing`."""
        assert self.engine.inside, "changes are made inside `writing`"
        with self.engine.faults():
            changed: int = self.engine.execute(sql, values).rowcount
            return changed

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make all changes inside, or none of them."""
        with self.engine.faults():
            self.engine.begin()
        try:
            yield
            with self.engine.faults():
                self.engine.commit()
        except BaseException:
            self.engine.rollback()
            raise

    def check(self) -> tuple[str, ...]:
        """Return what the database finds wrong with itself, one line each; empty when it is good."""
        with self.engine.faults():
            return self.engine.check()

    def backup(self, target: Path) -> None:
        """Copy the archive to a file as it stands now, also while a run writes to it."""
        self.engine.backup(target)


class SqliteEngine:
    """One file."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self.database = database

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self.database.execute(sql, tuple(values))

    def begin(self) -> None:
        """Take the lock for writing now, not at the first change."""
        self.database.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End the transaction."""
        self.database.execute("COMMIT")

    def rollback(self) -> None:
        """Undo it; a full disk may have done so already."""
        if self.database.in_transaction:
            self.database.execute("ROLLBACK")

    @property
    def inside(self) -> bool:
        """Whether a transaction is open."""
        return self.database.in_transaction

    def faults(self) -> AbstractContextManager[None]:
        """See `faults_of`."""
        return faults_of(self.path)

    def only_run(self) -> AbstractContextManager[None]:
        """Nothing to do: the lock of the home serves."""
        return nullcontext()

    def check(self) -> tuple[str, ...]:
        """Return what SQLite finds wrong with the file."""
        found = [str(row[0]) for row in self.execute("PRAGMA integrity_check") if row[0] != "ok"]
        found += [f"{row[0]}: a row points to nothing in {row[2]}" for row in self.execute("PRAGMA foreign_key_check")]
        return tuple(found)

    def backup(self, target: Path) -> None:
        """Copy page by page."""
        with faults_of(target):
            copy = sqlite3.connect(target)
            try:
                self.database.backup(copy)
            finally:
                copy.close()

    def close(self) -> None:
        """Close the file."""
        self.database.close()


def open_archive(place: Path | str, *, patience_s: float = PATIENCE_S) -> Archive:
    """Open an archive, making it or bringing it up to date where needed.

    Parameters
    ----------
    place : a file, or the address of a PostgreSQL database with PostGIS (`postgresql://…`).

    Raises
    ------
    BadInput
        The folder or file cannot be used, or a newer version of rail-watch wrote it.
    Busy, ArchiveFault
        See `faults_of`.
    """
    if isinstance(place, str):
        from rail_watch.archive.postgres import open_postgres

        return open_postgres(place, patience_s=patience_s)
    path = place
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise BadInput(f"{path.parent}: cannot be made ({fault.strerror}); name another folder with --home") from fault
    with faults_of(path):
        database = sqlite3.connect(path, timeout=patience_s, isolation_level=None)
    database.row_factory = sqlite3.Row
    archive = Archive(path, SqliteEngine(path, database))
    try:
        _prepare(path, archive, database)
    except BaseException:
        database.close()
        raise
    return archive


def read_archive(place: Path | str, *, patience_s: float = PATIENCE_S) -> Archive:
    """Open an archive that may lie where nothing can be written; nothing is changed.

    Raises
    ------
    BadInput
        There is none, or it is not of this version.
    """
    if isinstance(place, str):
        return open_archive(place, patience_s=patience_s)
    path = place
    if not path.is_file():
        raise BadInput(
            f"{path}: there is no archive yet; `rail-watch run --due` makes one, --home names another folder"
        )
    try:
        return open_archive(path, patience_s=patience_s)
    except BadInput:
        # A write-ahead log needs a writable folder; without one the file is read as it lies.
        with faults_of(path):
            database = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None
            )
            database.row_factory = sqlite3.Row
        archive = Archive(path, SqliteEngine(path, database))
        if [archive.value(f"PRAGMA {name}") for name in ("application_id", "user_version")] != [
            APPLICATION_ID,
            len(STEPS),
        ]:
            database.close()
            raise
        return archive


def _prepare(path: Path, archive: Archive, database: sqlite3.Connection) -> None:
    with faults_of(path):
        database.execute("PRAGMA foreign_keys = ON")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        made_by = database.execute("PRAGMA application_id").fetchone()[0]
        tables = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if tables and made_by != APPLICATION_ID:
            raise BadInput(f"{archive.path}: a database of another program; name another folder with --home")
        if version > len(STEPS):
            raise BadInput(
                f"{archive.path}: written by a newer rail-watch; update this one or name another with --home"
            )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
    if version < len(STEPS):
        _migrate(archive)


def _migrate(archive: Archive) -> None:
    with archive.writing():
        # Another process may have been quicker.
        version = archive.value("PRAGMA user_version")
        for number, step in enumerate(STEPS[version:], start=version + 1):
            for statement in statements(step):
                archive.do(statement)
            archive.do(f"PRAGMA user_version = {number}")
        archive.do(f"PRAGMA application_id = {APPLICATION_ID}")


def statements(script: str) -> Iterator[str]:
    """Split a script; `executescript` would end the transaction it stands in."""
    whole = ""
    for line in script.splitlines(keepends=True):
        whole += line
        if sqlite3.complete_statement(whole):
            yield whole
            whole = ""
