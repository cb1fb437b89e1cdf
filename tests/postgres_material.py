"""A PostgreSQL server of the tests' own, where Debian's packages (or others) give one with PostGIS."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

_number = itertools.count()


def _programs() -> Path | None:
    """Return the folder of initdb and pg_ctl."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


class Server:
    """One server on a socket in a folder of its own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder = programs, folder
        # PostgreSQL will not run as root.
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        if self._as:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)

    def _call(self, *words: object) -> None:
        subprocess.run(
            [*self._as, str(self.programs / str(words[0])), *map(str, words[1:])],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, cwd=self.folder,
        )  # fmt: skip

    def make(self) -> None:
        self._call("initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c max_connections=20 -c shared_buffers=16MB"
        log = self.folder / "log"
        self._call("pg_ctl", "-D", self.folder / "data", "-w", "-l", log, "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        self._call("pg_ctl", "-D", self.folder / "data", "-w", "-m", how, "stop")

    def ready(self) -> None:
        """Wait until it takes connections again: when a backend was killed, it starts anew by itself."""
        import psycopg

        deadline = time.monotonic() + 60
        while True:
            try:
                # Twice: it may not have noticed yet that one was killed.
                self.execute("SELECT pg_sleep(0.2)")
                return self.execute("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def kill_whole(self) -> None:
        """Kill the server itself, and start it again over what it left."""
        os.kill(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        # Its backends see that it is gone, and end; until then the shared memory is in use.
        for _ in range(200):
            try:
                return self.start()
            except subprocess.CalledProcessError:
                time.sleep(0.1)
        raise RuntimeError("the server does not start again")

    def execute(self, sql: str) -> None:
        import psycopg

        with psycopg.connect(f"postgresql://postgres@/postgres?host={self.folder}", autocommit=True) as connection:
            connection.execute(sql)

    def fresh(self) -> str:
        """Return the address of an empty archive."""
        name = f"t{next(_number)}"
        self.execute(f"CREATE SCHEMA {name}")
        options = quote(f"-csearch_path={name},public")
        return f"postgresql://postgres@/postgres?host={quote(str(self.folder), safe='')}&options={options}"


@contextmanager
def server() -> Iterator[Server]:
    """Start a server, or skip the test and say what is missing."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (the extra `postgis`)")
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server here (Debian: postgresql-15 postgresql-15-postgis-3)")
    with tempfile.TemporaryDirectory(prefix="rail-watch-pg-") as folder:
        os.chmod(folder, 0o700)
        try:
            made = Server(programs, Path(folder))
            made.make()
            made.start()
        except (KeyError, OSError, subprocess.SubprocessError) as fault:
            pytest.skip(f"no PostgreSQL server can be started here ({type(fault).__name__})")
        try:
            try:
                made.execute("CREATE EXTENSION postgis")
            except Exception as fault:  # noqa: BLE001 - psycopg may not be there to name its errors
                pytest.skip(f"this PostgreSQL has no PostGIS ({type(fault).__name__})")
            yield made
        finally:
            made.stop("immediate")
