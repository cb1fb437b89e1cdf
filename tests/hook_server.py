"""A receiver of webhooks, run as a process of its own: `python hook_server.py LOG` prints its port.

The keys of the alerts in each document are written down, one a line, and are on the disk before it answers.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Hook(BaseHTTPRequestHandler):
    """One document."""

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        handle = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(handle, "".join(f"{one['key']}\n" for one in document["alerts"]).encode())
        os.fsync(handle)
        os.close(handle)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
