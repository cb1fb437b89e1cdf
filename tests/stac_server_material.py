"""A real STAC API of the tests' own: stac-fastapi over pgstac, in the PostgreSQL server of the archive's tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import postgres_material
import pytest

START_S = 60.0


def _load(dsn: str, what: str, documents: list[dict[str, Any]], folder: Path) -> None:
    path = folder / f"{what}.ndjson"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in documents))
    _pgstac(f"load {what} {path} --method=upsert --dsn={dsn}")


def _pgstac(words: str) -> None:
    command = [sys.executable, "-m", "pypgstac.pypgstac", *words.split()]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def stac_server(
    database: postgres_material.Server, collections: list[dict[str, Any]], items: list[dict[str, Any]], folder: Path
) -> Iterator[str]:
    """Give the address of an API that holds collections and items; skip where its packages are not installed."""
    for package in ("pypgstac", "stac_fastapi.pgstac", "uvicorn"):
        if find_spec(package.partition(".")[0]) is None:
            pytest.skip(f"{package} is not installed (the extra `stac-server`)")
    database.execute("CREATE DATABASE stac")
    dsn = f"postgresql://postgres@/stac?host={database.folder}"
    _pgstac(f"migrate --dsn={dsn}")
    _load(dsn, "collections", collections, folder)
    _load(dsn, "items", items, folder)
    port = free_port()
    # The socket's folder goes in where a host name would: percent signs for its slashes.
    place = {"PGHOST": quote(str(database.folder), safe=""), "PGPORT": "5432", "PGDATABASE": "stac"}
    own = {**place, "PGUSER": "postgres", "PGPASSWORD": "none", "DB_MIN_CONN_SIZE": "1", "DB_MAX_CONN_SIZE": "2"}
    command = [sys.executable, "-m", "uvicorn", "stac_fastapi.pgstac.app:create_app", "--factory"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host=127.0.0.1", f"--port={port}"], env={**os.environ, **own}, stdout=log, stderr=log
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/_mgmt/ping", process, folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server that was started answers; what it logged is told where it does not."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")
