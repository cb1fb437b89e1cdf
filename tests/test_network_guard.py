"""The tests' own rule: nothing leaves the machine."""

from __future__ import annotations

import socket

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.invalid", 443)])
def test_connections_that_leave_the_machine_are_refused(address: tuple[str, int]) -> None:
    with pytest.raises(RuntimeError, match="loopback"):
        socket.create_connection(address, timeout=1)


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
        pass
