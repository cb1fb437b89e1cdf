"""A loop that never misses a night: look whether anything is due, do it, wait, look again.

A scheduler that sleeps until a moment of the wall clock is led astray when that clock is set. This loop waits by the
monotonic clock, never for long, and asks the archive each time what is due; a late check is made however late it is.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass


class Notifier:
    """Tells systemd how the service does, where it asks for it (sd_notify)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path

    def __call__(self, text: str) -> None:
        """Send one state: READY=1, WATCHDOG=1, STATUS=…, STOPPING=1."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(self._address)
            sender.sendall(text.encode())


@dataclass(frozen=True)
class Stop:
    """Whether the end was asked for, and a wait that the asking cuts short."""

    asked: Callable[[], bool]
    wait: Callable[[float], None]


@contextmanager
def until_told() -> Iterator[Stop]:
    """Turn SIGTERM and SIGINT into a wish: the piece of work in hand is finished first; a second one ends at once."""
    told: list[int] = []
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def tell(number: int, _frame: object) -> None:
        if told:
            raise KeyboardInterrupt
        told.append(number)
        with suppress(OSError):
            os.write(writer, b"x")

    before = {number: signal.signal(number, tell) for number in (signal.SIGTERM, signal.SIGINT)}

    def wait(seconds: float) -> None:
        if not told:
            select.select([reader], [], [], seconds)

    try:
        yield Stop(lambda: bool(told), wait)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def loop(one_round: Callable[[], str], stop: Stop, notify: Callable[[str], None], *, pause_s: float) -> int:
    """Do rounds until told to end; return how many were done.

    Parameters
    ----------
    one_round : does what is due and returns a line that says what it did; what went wrong is its own to tell.
    """
    notify("READY=1")
    rounds = 0
    while not stop.asked():
        notify("WATCHDOG=1")
        status = one_round()
        rounds += 1
        notify(f"WATCHDOG=1\nSTATUS={status}")
        stop.wait(pause_s)
    notify("STOPPING=1")
    return rounds
