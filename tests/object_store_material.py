"""A real object store of the tests' own: moto's server, in an environment of its own, checking keys and signatures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from stac_server_material import free_port, wait_for

PLACE = Path(f"{sys.prefix}-s3")
"""Beside the environment of the tests, with which the server's packages do not go together; `scripts/test` makes it."""
FILL = Path(__file__).with_name("object_store_fill.py")


@dataclass(frozen=True)
class Store:
    """A running server, with one bucket."""

    port: int
    user: tuple[str, str]
    """Key and secret of somebody who may read and write."""
    session: tuple[str, str, str]
    """Key, secret and token of a session."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        """Return GDAL's settings that stand for the provider's own."""
        return {"AWS_S3_ENDPOINT": f"127.0.0.1:{self.port}", "AWS_VIRTUAL_HOSTING": "FALSE", "AWS_HTTPS": "NO"}

    def put(self, path: Path, bucket: str, key: str) -> None:
        """Add an object."""
        own = {"AWS_ACCESS_KEY_ID": self.user[0], "AWS_SECRET_ACCESS_KEY": self.user[1]}
        _fill([self.address, str(path), bucket, key], own)


def _fill(words: list[str], keys: dict[str, str]) -> str:
    command = [str(PLACE / "bin" / "python"), str(FILL), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env={**os.environ, **keys})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@contextmanager
def object_store(folder: Path, bucket: str, log: Path) -> Iterator[Store]:
    """Start a server whose bucket holds a folder's files; skip where there is none to start."""
    program = PLACE / "bin" / "moto_server"
    if not program.exists():
        pytest.skip(f"no object store to start: {PLACE.name} is missing (scripts/test makes it, see tests/README.md)")
    port = free_port()
    with log.open("wb") as stream:
        command = [str(program), "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
        try:
            wait_for(f"http://127.0.0.1:{port}/moto-api/data.json", process, log)
            keys = json.loads(_fill([f"http://127.0.0.1:{port}", str(folder), bucket], {}))
            yield Store(port, tuple(keys["user"]), tuple(keys["session"]))
        finally:
            process.kill()
            process.wait()
