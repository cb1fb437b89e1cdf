"""Windows over loopback HTTP against the same windows from disk: 200 of 256 x 256 pixels from COGs, 8 in flight.

    python benchmarks/remote.py [WINDOWS] [LATENCY_MS]

Each window is from a file of its own, as scenes are, opened, read and closed; over HTTP through the door that `detect`
uses (our client's look at the first 64 KB, then GDAL's ranges). With a latency the server waits so long before each
answer: the time is then requests x latency / in flight, which is printed beside it.
"""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

SIZE, WINDOW, IN_FLIGHT, FILES = 2048, 256, 8, 20


def serve(folder: str, latency_s: float) -> None:
    """Serve a folder by ranges, one line with the port first; the number of requests is written at the end."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, *_: object) -> None:
            return

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            time.sleep(latency_s)
            path = Path(folder) / Path(self.path.split("?")[0]).name
            size = path.stat().st_size
            wanted = self.headers.get("Range", f"bytes=0-{size - 1}")
            first, last = wanted.removeprefix("bytes=").split("-")
            end = min(int(last), size - 1)
            with path.open("rb") as stream:
                stream.seek(int(first))
                data = stream.read(end - int(first) + 1)
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(data)))
            if "Range" in self.headers:
                self.send_header("Content-Range", f"bytes {first}-{end}/{size}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)
            with (Path(folder) / "requests").open("a") as log:
                log.write(".")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        print(server.server_port, flush=True)
        server.serve_forever()


def make(folder: Path) -> None:
    import numpy as np
    import rasterio
    from affine import Affine

    for number in range(FILES):
        data = np.random.default_rng(number).gamma(3, 300, (SIZE, SIZE)).astype("uint16")
        profile = {"driver": "COG", "count": 1, "height": SIZE, "width": SIZE, "dtype": "uint16", "crs": "EPSG:32652"}
        with rasterio.open(
            folder / f"{number}.tif", "w", transform=Affine(10, 0, 600000, 0, -10, 4700000), blocksize=256,
            compress="deflate", overviews="NONE", **profile,
        ) as dataset:  # fmt: skip
            dataset.write(data, 1)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    latency_ms = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    from rasterio.windows import Window

    from rail_watch.imagery.safe_open import safe_open, safe_open_remote
    from rail_watch.providers.http import Web
    from rail_watch.providers.remote import WebDoor

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        command = [sys.executable, __file__, "serve", name, str(latency_ms / 1000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            address = f"http://127.0.0.1:{int(server.stdout.readline())}"
            door = WebDoor(Web().naming(address))

            def window(index: int) -> Window:
                return Window(WINDOW * (index % 7), WINDOW * (index // 7 % 7), WINDOW, WINDOW)

            def local(index: int) -> bytes:
                with safe_open(folder / f"{index % FILES}.tif") as dataset:
                    return dataset.read(1, window=window(index)).tobytes()

            def remote(index: int) -> bytes:
                file = door.file(f"{address}/{index % FILES}.tif")
                with safe_open_remote(file) as dataset:
                    return dataset.read(1, window=window(index)).tobytes()

            def timed(read) -> tuple[float, list[bytes]]:  # type: ignore[no-untyped-def]
                start = time.perf_counter()
                with ThreadPoolExecutor(IN_FLIGHT) as pool:
                    found = list(pool.map(read, range(count)))
                return time.perf_counter() - start, found

            timed(local)
            here, there = timed(local), timed(remote)
            server.kill()
        requests = len((folder / "requests").read_text())
    assert here[1] == there[1], "the same pixels"
    bound = requests * latency_ms / 1000 / IN_FLIGHT
    say = partial(print, file=sys.stderr)
    say(f"local   {count / here[0]:7.0f} windows/s  ({here[0]:.2f} s)")
    say(f"remote  {count / there[0]:7.0f} windows/s  ({there[0]:.2f} s), {here[0] / there[0]:.0%} of local")
    say(f"{requests} requests, {requests / count:.1f} a window; x {latency_ms:g} ms / {IN_FLIGHT} = {bound:.2f} s")
    figures = {"windows": count, "latency_ms": latency_ms, "requests": requests, "bound_s": bound}
    print(json.dumps({**figures, "local_s": here[0], "remote_s": there[0]}, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], float(sys.argv[3]))
    else:
        main()
