"""A home filled by the real `run` over the small series, and the real server on loopback over it."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli_material import aoi_document, write_series

from rail_watch.cli.main import run

SITE = "small-yard"


def make_home(folder: Path) -> Path:
    """Fill a home: one site, six scenes, a train on its track t1 in the fourth."""
    home = folder / "home"
    (home / "sites").mkdir(parents=True)
    document = aoi_document()
    document["rail_watch"]["name"] = "Small yard <b>&amp;</b>"
    apron = {"type": "Polygon", "coordinates": document["features"][0]["geometry"]["coordinates"]}
    document["features"].append({"type": "Feature", "geometry": apron, "properties": {"role": "stable", "id": "s1"}})
    (home / "sites" / "yard.geojson").write_text(json.dumps(document), encoding="utf-8")
    source = write_series(folder / "imagery")
    (home / "sites" / "yard.toml").write_text(f'aoi = "yard.geojson"\nsource = "{source}"\n', encoding="utf-8")
    assert run(["--home", str(home), "run", "--due", "--no-reports", "-q"]) == 0
    return home


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    host: str
    port: int
    token: str | None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str | None) -> Answer:
        """Ask as a program would; a header given as None is left out, `_` stands for `-`."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
            bare = "host" in headers
            connection.putrequest(method, path, skip_host=bare, skip_accept_encoding=True)
            for name, value in given.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def csrf(self) -> str:
        """Return the token that stands in the page."""
        text = self.ask("/").body.decode()
        found = re.search(r'name="csrf" content="([0-9a-f]*)"', text)
        assert found is not None
        return found[1]

    def send(self, path: str, what: object, **headers: str | None) -> Answer:
        """Send JSON as the page does."""
        given = {"content_type": "application/json", "x_csrf_token": self.csrf()} | headers
        return self.ask(path, "POST", json.dumps(what).encode(), **given)


@contextmanager
def serving(home: Path, *options: str, cache: Path, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """Run the command, until the block ends."""
    command = [sys.executable, "-m", "rail_watch", "--home", str(home), "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "RAIL_WATCH_CACHE": str(cache), **(environment or {})},
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        found = re.match(r"http://\[?([^/\]]*)\]?:(\d+)/(?:\?token=(\S+))?", line)
        assert found is not None, line + process.stderr.read()
        yield Server(process, "127.0.0.1", int(found[2]), found[3])
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()


def chromium() -> str | None:
    """Return where the browser is."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
