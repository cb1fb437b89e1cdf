"""A server for tests, run as a process of its own: files by range, a small STAC API, and every fault once.

    python tests/loopback_server.py FOLDER LOG

prints its port, then serves ``/<mode>/<token>/<path>`` from FOLDER, and a STAC API over FOLDER/items.json at
``/api/<mode>``. Counts are per token, so that tests do not meet. Each request is one JSON line in LOG.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FOLDER, LOG = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
LOCK = threading.Lock()
SEEN: Counter[str] = Counter()
RUNNING = {"now": 0, "most": 0}
STORE_FAULTS = {
    "expired": (400, b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"),
    "terse": (403, b'<?xml version="1.0"?><Error><Code>InvalidAccessKeyId</Code></Error>'),
    "bare": (403, b""),
    "painted": (403, b"<Error><Code>X</Code><Message>\x1b[31mno\xe2\x80\xae key</Message></Error>"),
}
"""An object store's refusals that moto does not give."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""

    def do_GET(self) -> None:
        self._guarded(b"")

    def do_HEAD(self) -> None:
        self._guarded(b"")

    def do_POST(self) -> None:
        self._guarded(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _guarded(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        with LOCK:
            SEEN[path] += 1
            RUNNING["now"] += 1
            RUNNING["most"] = max(RUNNING.values())
            line = {"method": self.command, "path": self.path, "range": self.headers.get("Range"), **RUNNING}
            line["keys"] = [name for name in ("Authorization", "Ocp-Apim-Subscription-Key") if self.headers.get(name)]
            with LOG.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
        try:
            parts = path.strip("/").split("/")
            kinds = {"api": self._api, "sas": self._sas, "planet": self._planet, "eodata": self._s3}
            kinds |= {"overpass": self._overpass}
            kind = kinds.get(parts[0], self._file)
            kind(parts, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with LOCK:
                RUNNING["now"] -= 1

    # ---- files, and what goes wrong with them --------------------------------------------------------------------

    def _file(self, parts: list[str], _body: bytes) -> None:
        mode, inner = parts[0], parts[2:]
        count = SEEN[urlsplit(self.path).path]
        refusal = _refusal(mode, count)
        if refusal is not None:
            return self._send(refusal[0], b"refused", refusal[1])
        if mode == "away":
            return self._send(302, b"", {"Location": parse_qs(urlsplit(self.path).query)["to"][0]})
        if mode == "turns" and count > 1:
            return self._send(302, b"", {"Location": f"http://127.0.0.1:{parts[1]}/latest/meta-data"})
        if mode == "late":
            time.sleep(0.05)
        path = (FOLDER / "/".join(inner)).resolve()
        if not path.is_relative_to(FOLDER) or not path.is_file():
            return self._send(404, b"nothing there")
        return self._content(path.read_bytes(), mode, cut=mode == "cut" or (mode == "cutonce" and count == 1))

    def _content(self, data: bytes, mode: str, *, cut: bool) -> None:
        wanted, status, headers = self.headers.get("Range"), 200, {"Accept-Ranges": "bytes"}
        if wanted and mode != "norange":
            first, last = wanted.removeprefix("bytes=").split("-")
            start, end = int(first), min(int(last or len(data)), len(data) - 1)
            if start >= len(data):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            status, headers["Content-Range"] = 206, f"bytes {start}-{end}/{len(data)}"
            data = data[start : end + 1]
        if mode == "tagged":
            tag = FOLDER / "tag"
            headers["ETag"] = f'"{tag.read_text() if tag.exists() else "first"}"'
        if mode == "slow":
            return self._drip(data)
        if mode == "endless":
            data = data + bytes(80_000_000)
        self._send(status, data, headers, cut=cut)

    def _drip(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for byte in data[:100]:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.2)
        self.close_connection = True

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None, *, cut: bool = False) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True

    def _s3(self, parts: list[str], _body: bytes) -> None:
        """Answer an object store's GET in path style; who has not signed is refused."""
        signature = self.headers.get("Authorization", "")
        if not signature.startswith("AWS4-HMAC-SHA256 Credential=planted-id/"):
            return self._send(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
        if parts[1] in STORE_FAULTS:
            return self._send(*STORE_FAULTS[parts[1]])
        path = FOLDER / "/".join(parts[1:])
        if not path.is_file():
            return self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return self._content(path.read_bytes(), "plain", cut=False)

    def _overpass(self, parts: list[str], _body: bytes) -> None:
        """Answer as the query service of OpenStreetMap does: busy, broken off, or with the map."""
        if parts[1] == "busy":
            return self._send(429, b"too many requests")
        asked = parse_qs(urlsplit(self.path).query)["data"][0]
        parts_asked = ("way[railway](", "nwr[building](", "nwr[landuse=railway](", "way[man_made=bridge](")
        if not all(part in asked for part in ("out geom", "[timeout:", *parts_asked)):
            return self._send(400, b"no query")
        remark = {"remark": "runtime error: Query timed out"} if parts[1] == "broken" else {}
        self._json({**json.loads((FOLDER / "map.json").read_text()), **remark})

    # ---- a small STAC API ----------------------------------------------------------------------------------------

    def _json(self, content: object, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/geo+json"})

    def _api(self, parts: list[str], body: bytes) -> None:
        mode = parts[1]
        here = f"http://{self.headers['Host']}"
        if parts[2:] != ["search"]:
            links = [{"rel": "search", "href": f"{here}/api/{mode}/search", "method": "POST"}]
            return self._json({"type": "Catalog", "id": "api", "conformsTo": [], "links": links})
        if mode == "getonly" and self.command == "POST":
            return self._json({"code": "no"}, 405)
        if mode == "503once" and SEEN[urlsplit(self.path).path] <= 2:
            return self._send(503, b"busy", {"Retry-After": "0"})
        asked = json.loads(body) if body else {}
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        page = int(asked.get("token") or query.get("token") or 0)
        if mode == "half" and page >= 1 and not (FOLDER / "healthy-pages").exists():
            return self._send(500, b"broken")
        self._json(_page(here, mode, page, asked or query))

    # ---- signatures, and Planet ----------------------------------------------------------------------------------

    def _sas(self, _parts: list[str], _body: bytes) -> None:
        minutes = 3 if SEEN[urlsplit(self.path).path] == 1 else 60
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60 * minutes))
        self._json({"token": f"se={until}&sig=secret{SEEN[self.path]}", "msft:expiry": until})

    def _planet(self, parts: list[str], _body: bytes) -> None:
        here = f"http://{self.headers['Host']}"
        if not self.headers.get("Authorization"):
            return self._send(401, b"no")
        if parts[1] == "quick-search":
            return self._json({"features": json.loads((FOLDER / "planet.json").read_text()), "_links": {}})
        if parts[1] == "assets":
            active = SEEN["/planet/activate/one"] > 0
            udm2 = {"status": "active", "location": f"{here}/plain/p/udm2.tif", "_links": {}}
            image = {
                "status": "active" if active else "inactive",
                "location": f"{here}/plain/p/planet.tif" if active else None,
                "_links": {"activate": f"{here}/planet/activate/one"},
            }
            return self._json({"ortho_analytic_4b_sr": image, "ortho_udm2": udm2})
        return self._json({})


def _refusal(mode: str, count: int) -> tuple[int, dict[str, str]] | None:
    """Return the status and headers with which a mode refuses its count-th request, None where it does not."""
    if mode == "503reads":
        return None if (FOLDER / "healthy").exists() or count == 1 else (503, {})
    status, most, headers = {
        "429": (429, 2, {"Retry-After": "0"}),
        "429long": (429, 10**9, {"Retry-After": "86400"}),
        "503": (503, 2, {}),
        "503always": (503, 10**9, {}),
        "403": (403, 10**9, {}),
    }.get(mode, (0, 0, {}))
    return (status, headers) if count <= most else None


def _chosen(asked: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads((FOLDER / "items.json").read_text())["features"]
    first, last = (asked.get("datetime") or "../..").split("/")
    collections = asked.get("collections") or []
    return [
        item
        for item in items
        if (first == ".." or item["properties"]["datetime"] >= first)
        and (last == ".." or item["properties"]["datetime"] <= last)
        and (not collections or item["collection"] in collections)
    ]


def _page(here: str, mode: str, page: int, asked: dict[str, Any]) -> dict[str, Any]:
    size = 2
    items = _chosen(asked)
    files = mode.removeprefix("files-") if mode.startswith("files-") else "plain"
    shown = items[:size] if mode == "endless" else items[page * size : (page + 1) * size]
    for item in shown:
        for asset in item["assets"].values():
            if not asset["href"].startswith("s3://"):
                asset["href"] = f"{here}/{files}/{item['id']}/{asset['href'].removeprefix('./')}"
    links = []
    follows = {"loop": 1, "endless": page + 1}.get(mode, page + 1 if (page + 1) * size < len(items) else None)
    if mode == "elsewhere":
        links.append({"rel": "next", "href": "https://example.com/search", "method": "POST", "body": {"token": 1}})
    elif mode == "getonly" and follows is not None:
        keep = "&".join(f"{key}={value}" for key, value in asked.items() if key != "token")
        links.append({"rel": "next", "href": f"{here}/api/{mode}/search?{keep}&token={follows}"})
    elif follows is not None:
        body = {"token": follows}
        links.append(
            {"rel": "next", "href": f"{here}/api/{mode}/search", "method": "POST", "merge": True, "body": body}
        )
    return {"type": "FeatureCollection", "features": shown, "links": links}


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        print(server.server_port, flush=True)
        server.serve_forever()
