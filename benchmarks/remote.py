"""Windows over loopback HTTP against the same windows from disk: 200 of 256 x 256 pixels from COGs, 8 in flight.

    python benchmarks/remote.py [WINDOWS] [LATENCY_MS]

Each window is from a file of its own, as scenes are, opened, read and closed; over HTTP through the door that `detect`
uses: our client's look at the first 64 KB, kept for the next window of the same file, then one range with the blocks.
With a latency the server waits so long before each answer: the time is then requests x latency / in flight, which is
printed beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

os.environ.setdefault("OMP_NUM_THREADS", "1")

SIZE, WINDOW, IN_FLIGHT, FILES = 2048, 256, 8, 20


class Ranges(asyncio.Protocol):
    """A server that costs little, so that the client is what is measured: files in memory, answers in one write."""

    def __init__(self, files: dict[str, bytes], latency_s: float, count: BinaryIO) -> None:
        self.files, self.latency_s, self.count, self.buffer = files, latency_s, count, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole, after the latency."""
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            if self.latency_s:
                asyncio.get_running_loop().call_later(self.latency_s, self.answer, head)
            else:
                self.answer(head)

    def answer(self, head: bytes) -> None:
        """Send what a request asks for."""
        self.count.write(b".")
        method, path, _ = head.split(b" ", 2)
        data = self.files[path.decode().rsplit("/", 1)[1]]
        span = re.search(rb"\r\nrange: bytes=(\d+)-(\d+)", head, re.IGNORECASE)
        first, last = (int(span[1]), min(int(span[2]), len(data) - 1)) if span else (0, len(data) - 1)
        status = b"206 Partial Content" if span else b"200 OK"
        lines = [
            b"HTTP/1.1 " + status,
            b"Accept-Ranges: bytes",
            b'ETag: "1"',
            b"Content-Length: %d" % (last - first + 1),
        ]
        lines += [b"Content-Range: bytes %d-%d/%d" % (first, last, len(data))] if span else []
        body = b"" if method == b"HEAD" else data[first : last + 1]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)


def serve(folder: Path, latency_s: float) -> None:
    """Serve a folder's files by ranges, one line with the port first; a byte for each request goes to a file."""
    files = {path.name: path.read_bytes() for path in folder.glob("*.tif")}

    async def forever() -> None:
        with (folder / "requests").open("wb", buffering=0) as count:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(lambda: Ranges(files, latency_s, count), "127.0.0.1", 0)
            print(server.sockets[0].getsockname()[1], flush=True)
            await server.serve_forever()

    asyncio.run(forever())


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


Timed = tuple[float, list[bytes], float]
"""Wall time, what was read, processor time."""


def tell(count: int, latency_ms: float, requests: int, here: Timed, there: Timed) -> None:
    assert here[1] == there[1], "the same pixels"
    bound = requests * latency_ms / 1000 / IN_FLIGHT
    say = partial(print, file=sys.stderr)
    say(f"local   {count / here[0]:7.0f} windows/s  ({here[0]:.2f} s, processor {here[2]:.2f} s)")
    share = f"{here[0] / there[0]:.0%} of local"
    say(f"remote  {count / there[0]:7.0f} windows/s  ({there[0]:.2f} s, processor {there[2]:.2f} s), {share}")
    say(f"{requests} requests, {requests / count:.1f} a window; x {latency_ms:g} ms / {IN_FLIGHT} = {bound:.2f} s")
    figures = {"windows": count, "latency_ms": latency_ms, "requests": requests, "bound_s": bound}
    work = {"local_processor_s": here[2], "remote_processor_s": there[2]}
    print(json.dumps({**figures, "local_s": here[0], "remote_s": there[0], **work}, indent=1))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    latency_ms = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    from rasterio.windows import Window

    from rail_watch.imagery.safe_open import safe_open, safe_open_remote
    from rail_watch.providers.http import Web
    from rail_watch.providers.pieces import WebFile, spans_of
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
                assert isinstance(file, WebFile) and file.held is not None
                with file.held.told(), safe_open_remote(file) as dataset:
                    file.held.fetch(spans_of(file.held.pieces, dataset, window(index), [1]))
                    return dataset.read(1, window=window(index)).tobytes()

            def timed(read) -> Timed:  # type: ignore[no-untyped-def]
                start, work = time.perf_counter(), time.process_time()
                with ThreadPoolExecutor(IN_FLIGHT) as pool:
                    found = list(pool.map(read, range(count)))
                return time.perf_counter() - start, found, time.process_time() - work

            timed(local)
            here, there = timed(local), timed(remote)
            server.kill()
        requests = len((folder / "requests").read_text())
    tell(count, latency_ms, requests, here, there)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]), float(sys.argv[3]))
    else:
        main()
