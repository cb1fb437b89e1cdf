"""What every test shares: no network, repeatable properties, and the folder of real imagery where there is one."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import bundle_material
import postgres_material
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from rail_watch.archive import Archive

settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

CHECKOUT = Path(__file__).resolve().parents[1]


class NetworkBlocked(RuntimeError):
    """A test tried to leave the machine."""


def _is_loopback(address: object) -> bool:
    """Return whether a socket address stays on this machine: a path (AF_UNIX), or a loopback host."""
    if not isinstance(address, tuple):
        return True
    host = str(address[0])
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection and name look-up that leaves the machine, GDAL's included."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def checked(address: object) -> None:
        if not _is_loopback(address):
            raise NetworkBlocked(f"tests may only speak to loopback, not to {address!r}")

    def guarded_connect(self: socket.socket, address: object) -> None:
        checked(address)
        connect(self, address)  # type: ignore[arg-type]

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        checked(address)
        return connect_ex(self, address)  # type: ignore[arg-type]

    def guarded_look_up(host: object, *args: object, **kwargs: object) -> object:
        checked((host or "localhost",))
        return look_up(host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    # GDAL opens its own sockets: a proxy that refuses sends them nowhere, and loopback goes round it.
    monkeypatch.setenv("GDAL_HTTP_PROXY", "127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost,::1")


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_material.Server]:
    """Return a PostgreSQL server of the tests' own; skip where there is none to be had."""
    with postgres_material.server() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """Return an empty archive of each kind; commands find it with `archive_material.home_arguments`."""
    from rail_watch.archive import open_archive

    place: Path | str = tmp_path / "home" / "archive.sqlite"
    if request.param == "postgres":
        place = request.getfixturevalue("postgres").fresh()
        monkeypatch.setenv("RAIL_WATCH_ARCHIVE", str(place))
    with open_archive(place) as opened:
        yield opened


@pytest.fixture
def shared_data() -> Path:
    """Return the folder of real imagery beside the checkout (or RAIL_WATCH_SHARED_DATA); skip where it is absent."""
    folder = Path(os.environ.get("RAIL_WATCH_SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real imagery beside the checkout (../shared/data); set RAIL_WATCH_SHARED_DATA to its folder")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bundle_material.Made:
    """A home that watches a small yard, one run done, and the train of its archive bundled twice."""
    return bundle_material.make(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def loose(made: bundle_material.Made, tmp_path: Path) -> Path:
    """The files of that bundle, to be changed."""
    return bundle_material.unpacked(made, tmp_path)
