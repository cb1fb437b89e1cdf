"""The server by itself: what it answers, and whom it does not."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
from serve_material import SITE, Server, make_home, serving

from rail_watch import aoi
from rail_watch.cli.main import run
from rail_watch.grid import WGS84, transformer
from rail_watch.serve.door import Door
from rail_watch.serve.ground import ground_of, lonlat_polynomial
from rail_watch.serve.shelf import Shelf


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    with serving(home, cache=home.parent / "cache") as made:
        yield made


def observation(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.ask(f"/api/sites/{SITE}").json()["observations"][0]
    return found


# ---- the same as the command line ---------------------------------------------------------------------------------


def test_history_and_status_are_what_the_command_line_prints(
    server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--home", str(home), "history", "--aoi", SITE, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == server.ask(f"/api/sites/{SITE}/history").json()
    assert run(["--home", str(home), "history", "--aoi", SITE, "--format", "geojson", "--datetime", "2023-10-13"]) == 0
    wanted = json.loads(capsys.readouterr().out)
    assert wanted == server.ask(f"/api/sites/{SITE}/history.geojson?datetime=2023-10-13").json()
    assert len(wanted["features"]) == 1
    assert run(["--home", str(home), "status", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    answered = server.ask("/api/status").json()
    assert told["sites"] == answered["sites"] and told["last_run"] == answered["last_run"]


def test_a_site_has_its_looks_states_and_findings(server: Server) -> None:
    view = server.ask(f"/api/sites/{SITE}").json()
    assert len(view["looks"]) == 6
    seen = observation(server)
    look = next(one for one in view["looks"] if one["look"] == seen["look"])
    assert look["datetime"].startswith("2023-10-13") and look["states"] == {"t1": "o", "t2": "e"}
    assert 150 < seen["length_m"] < 230 and seen["kind"] == "train"
    (summary,) = server.ask("/api/sites").json()["sites"]
    assert summary["looks"] == 6 and summary["reviews_missing"] >= 1


def test_the_interface_is_described_as_it_is(server: Server) -> None:
    described = server.ask("/api/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    look = server.ask(f"/api/sites/{SITE}").json()["looks"][0]["look"]
    given = {"site": SITE, "look": look, "level": 0, "column": 0, "row": 0}
    for path, calls in described["paths"].items():
        for method in calls:
            answer = server.ask(path.format(**given), method.upper(), b"{}" if method == "post" else None)
            assert answer.status == (403 if method == "post" else 200), path
    assert b"/api/sites/{site}/history" in server.ask("/api").body


def test_pictures_are_made_once_and_known_again(server: Server, home: Path) -> None:
    look = observation(server)["look"]
    first = server.ask(f"/api/sites/{SITE}/looks/{look}/whole.webp")
    assert first.status == 200 and first.body[8:12] == b"WEBP"
    again = server.ask(f"/api/sites/{SITE}/looks/{look}/whole.webp", if_none_match=first.headers["etag"])
    assert again.status == 304 and again.body == b""
    kept = list((home.parent / "cache" / "page").glob("??/*.webp"))
    assert kept and not list((home.parent / "cache" / "page").glob("??/.*"))


def test_without_the_source_a_picture_says_why(home: Path, tmp_path: Path, server: Server) -> None:
    look = observation(server)["look"]
    imagery = home.parent / "imagery"
    imagery.rename(home.parent / "away")
    try:
        with serving(home, cache=tmp_path) as other:
            answer = other.ask(f"/api/sites/{SITE}/looks/{look}/whole.webp")
    finally:
        (home.parent / "away").rename(imagery)
    assert answer.status in (400, 404) and "imagery" in answer.json()["error"]


# ---- who comes in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "10.0.0.1", "a@127.0.0.1:1@evil"])
def test_a_name_that_is_not_its_own_is_not_answered(server: Server, host: str) -> None:
    answer = server.ask("/api/sites", host=host)
    assert answer.status in (400, 421) and b"small" not in answer.body


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:9"])
def test_its_own_names_are_answered_through_a_tunnel_too(server: Server, host: str) -> None:
    assert server.ask("/api/sites", host=host).status == 200


def test_every_answer_is_sealed(server: Server) -> None:
    for path in ("/", f"/site/{SITE}", "/api", "/api/sites", "/nowhere", "/static/x/page.css"):
        headers = server.ask(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
        assert not [name for name in headers if name.startswith("access-control")]


def test_pages_hold_no_script_or_style_of_their_own(server: Server) -> None:
    for path in ("/", f"/site/{SITE}", "/api"):
        text = server.ask(path).body.decode()
        assert "<style" not in text and " style=" not in text and " onclick" not in text
        assert all(" src=" in piece[:120] for piece in text.split("<script")[1:])
        assert "//" not in text.replace("http://www.w3.org", "")


def test_a_write_needs_the_pages_token_and_its_own_origin(server: Server) -> None:
    review = {"observation": observation(server)["id"], "verdict": "note", "reviewer": "Kim", "note": "x"}
    assert server.send("/api/reviews", review, x_csrf_token=None).status == 403
    assert server.send("/api/reviews", review, x_csrf_token="0" * 64).status == 403
    assert server.send("/api/reviews", review, origin="http://evil.example").status == 403
    assert server.send("/api/reviews", review, sec_fetch_site="cross-site").status == 403
    assert server.send("/api/reviews", review, content_type="text/plain").status == 415
    assert server.ask("/api/reviews").status == 405
    assert server.ask("/api/sites", "OPTIONS", origin="http://evil.example").status == 405
    assert server.ask("/api/sites", "DELETE").status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/static/x/..%2f..%2fapp.py",
        "/site/../api/../../etc/passwd", f"/api/sites/{SITE}/looks/1/../../../etc/whole.webp",
        f"/api/sites/{SITE}/looks/1/99/0/0.webp", f"/api/sites/{SITE}/looks/1/0/9999999/0.webp",
        f"/api/sites/{SITE}/looks/99999/whole.webp", "/api/sites/..%2f..%2fetc/area", "/api/sites/%00/area",
        "/api/sites/nowhere/history", f"/api/sites/{SITE}/looks/12345678901234567890/whole.webp",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_house(server: Server, path: str) -> None:
    answer = server.ask(path)
    assert answer.status == 404 and b"root:" not in answer.body


def test_ranges_are_not_cut(server: Server) -> None:
    page = server.ask("/").body.decode()
    style = page.split('rel="stylesheet" href="')[1].split('"')[0]
    many = "bytes=" + ",".join(f"{n}-{n + 1}" for n in range(0, 4000, 2))
    answer = server.ask(style, range=many[:8000])
    assert answer.status == 200 and "content-range" not in answer.headers and b"--ground" in answer.body


def test_long_things_are_refused(server: Server) -> None:
    assert server.ask("/api/sites?x=" + "y" * 5000).status == 414
    assert server.send("/api/reviews", {"note": "x" * 100_000}).status == 413
    assert server.send("/api/areas", {"features": ["x" * 3_000_000]}).status == 413


def test_datetime_that_is_none_is_a_fault_in_one_line(server: Server) -> None:
    answer = server.ask(f"/api/sites/{SITE}/history?datetime=soon")
    assert answer.status == 400 and "soon" in answer.json()["error"]


# ---- what is written ----------------------------------------------------------------------------------------------


def test_a_review_stands_beside_the_machines_answer(
    server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = observation(server)
    review = {"observation": before["id"], "verdict": "correct", "reviewer": " Kim ", "railcars": 13, "note": "<i>"}
    assert server.send("/api/reviews", review).json() == {"kept": 1}
    kept = server.ask(f"/api/sites/{SITE}").json()["reviews"][before["id"]][-1]
    assert kept["verdict"] == "correct" and kept["railcars"] == 13 and kept["reviewer"] == "Kim"
    assert observation(server) == before
    assert run(["--home", str(home), "review", "export", "--aoi", SITE]) == 0
    assert "Kim" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "perhaps"}, {"reviewer": ""}, {"observation": "no-such"}, {"railcars": -1}, {"railcars": 1.5},
        {"railcars": True}, {"length_m": "long"}, {"length_m": 10**400}, {"railcars": 10**30}, {"note": 3},
        {"at": "2020-01-01"}, {"verdict": "correct"}, {"note": "x" * 3000},
    ],
)  # fmt: skip
def test_a_review_that_makes_no_sense_is_not_kept(server: Server, wrong: dict[str, object]) -> None:
    review = {"observation": observation(server)["id"], "verdict": "confirm", "reviewer": "Kim", **wrong}
    answer = server.send("/api/reviews", review)
    assert answer.status == 400 and answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"observation": NaN}', b"[" * 50_000])
def test_what_is_no_review_is_told(server: Server, body: bytes) -> None:
    answer = server.ask("/api/reviews", "POST", body, content_type="application/json", x_csrf_token=server.csrf())
    assert answer.status == 400


def test_an_area_is_saved_as_a_new_version_each_time(server: Server, home: Path) -> None:
    given = server.ask(f"/api/sites/{SITE}/area").json()
    assert given["version"] is None and given["area"]["features"][1]["metres"]
    document = given["area"]
    for number in (1, 2):
        document["features"][1]["properties"]["name"] = f"Track as of {number}"
        saved = server.send("/api/areas", document).json()
        assert saved["version"] == number
        assert aoi.read(saved["path"]).tracks[0].name == f"Track as of {number}"
    assert aoi.read(saved["path"]).digest == saved["digest"]
    assert server.ask(f"/api/sites/{SITE}/area").json()["version"] == 2
    assert sorted(path.name for path in (home / "areas" / SITE).iterdir()) == ["0001.geojson", "0002.geojson"]


@pytest.mark.parametrize("name", ["../../evil", "/etc/x", "a/b", "", "A", "x" * 65])
def test_an_area_with_a_bad_id_reaches_no_file(server: Server, home: Path, name: str) -> None:
    document = server.ask(f"/api/sites/{SITE}/area").json()["area"]
    document["rail_watch"]["id"] = name
    answer = server.send("/api/areas", document)
    assert answer.status == 400 and "id" in answer.json()["error"]
    assert [path.name for path in (home / "areas").iterdir()] in ([], [SITE]) if (home / "areas").exists() else True


@pytest.mark.parametrize("point", [[10**400, 42], [None, 42], ["x", 1], [1e308, 1e308], []])
def test_coordinates_that_are_none_are_faults_not_crashes(server: Server, point: list[object]) -> None:
    document = server.ask(f"/api/sites/{SITE}/area").json()["area"]
    document["features"][1]["geometry"]["coordinates"][0] = point
    answer = server.send("/api/areas", document)
    assert answer.status == 400 and "t1" in answer.json()["error"]


def test_a_shipped_area_is_never_written_over(server: Server) -> None:
    before = aoi.read_file("tumangang")
    document = json.loads(before)
    saved = server.send("/api/areas", document).json()
    assert aoi.read_file("tumangang") == before and saved["path"].endswith("areas/tumangang/0001.geojson")


# ---- the command --------------------------------------------------------------------------------------------------


def test_read_only_takes_nothing(home: Path, tmp_path: Path) -> None:
    with serving(home, "--read-only", cache=tmp_path) as server:
        assert server.csrf() == ""
        assert server.ask(f"/api/sites/{SITE}").status == 200
        answer = server.send("/api/reviews", {}, x_csrf_token="")
        assert answer.status == 403 and "read-only" in answer.json()["error"]


def test_with_a_token_nobody_comes_in_without(home: Path, tmp_path: Path) -> None:
    token = "correct-horse-battery"
    with serving(home, "--token", token, cache=tmp_path) as server:
        assert server.token == token
        for path in ("/", "/api/sites", "/static/x/page.css"):
            assert server.ask(path).status == 401
        assert server.ask("/?token=correct-horse-batterz").status == 401
        assert server.ask("/api/sites", authorization=f"Bearer {token}").status == 200
        entered = server.ask(f"//evil.example/x?token={token}&a=b%26c")
        assert entered.status == 303 and entered.headers["location"] == "/evil.example/x?a=b%26c"
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and token not in cookie
        assert server.ask("/api/sites", cookie=cookie.split(";")[0]).status == 200
        assert server.ask("/api/sites", cookie=f"rail-watch-{server.port}={token}").status == 401


def test_at_another_address_a_token_is_made(home: Path, tmp_path: Path) -> None:
    with serving(home, "--host", "0.0.0.0", "--name", "Watch.Example", cache=tmp_path) as server:
        assert server.token is not None and len(server.token) >= 40
        assert server.ask("/api/sites").status == 401
        bearer = f"Bearer {server.token}"
        assert server.ask("/api/sites", host="watch.example", authorization=bearer).status == 200
        assert server.ask("/api/sites", host="10.1.2.3:80", authorization=bearer).status == 200
        assert server.ask("/api/sites", host="evil.example", authorization=bearer).status == 421


def test_a_taken_port_and_a_missing_archive_are_one_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run(["--home", str(home), "serve", "--port", port]) == 2
        fault = capsys.readouterr().err
        assert f"127.0.0.1:{port}" in fault and "--port" in fault and fault.count("\n") == 1
    assert run(["--home", str(tmp_path), "serve", "--port", "0"]) == 2
    assert "no archive yet" in capsys.readouterr().err
    assert run(["--home", str(home), "serve", "--token", "short"]) == 2
    assert "16" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(home: Path) -> None:
    code = "import sys; sys.modules['starlette'] = None\nfrom rail_watch.cli.main import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--home", str(home), "serve"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and "pip install 'rail-watch[serve]'" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    with serving(home, cache=tmp_path) as server:
        assert server.ask("/api/sites").status == 200
        server.process.send_signal(number)
        assert server.process.wait(15) == 0
        assert server.process.stderr is not None and server.process.stderr.read() == ""


# ---- parts --------------------------------------------------------------------------------------------------------


def test_the_polynomial_is_right_to_a_millimetre() -> None:
    for name in aoi.shipped():
        ground = ground_of(aoi.read(name))
        told = lonlat_polynomial(ground)
        for x in (ground.bounds[0], 0.0, ground.bounds[2] / 3):
            for y in (ground.bounds[1], 17.0, ground.bounds[3]):
                terms = [(x / told["scale"]) ** i * (y / told["scale"]) ** j for i, j in told["powers"]]
                lon, lat = (sum(c * t for c, t in zip(told[axis], terms, strict=True)) for axis in ("lon", "lat"))
                back = transformer(WGS84, ground.crs).transform(lon, lat)
                assert abs(back[0] - x) < 1e-3 and abs(back[1] - y) < 1e-3


def test_the_shelf_keeps_below_its_limit(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, most_bytes=1000)
    for number in range(30):
        shelf.put(f"{number:064x}"[::-1], bytes(100))
    held = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 0 < held <= 1000


def test_tokens_are_made_of_secrets_and_do_not_hold_them() -> None:
    door = Door(frozenset(), False, "a-long-enough-token", "secret", False, 1)
    assert door.knows("a-long-enough-token") and not door.knows("a-long-enough-toke") and not door.knows("ü")
    assert "secret" not in door.csrf and door.csrf != door.cookie_value
