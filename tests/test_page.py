"""The page in a real browser: by mouse, by keys alone, on a phone, in the dark."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("playwright")
from playwright import sync_api
from serve_material import SITE, Server, chromium, make_home, serving

from rail_watch import aoi

PATIENCE_MS = 15_000
ZOOM = "Number(new URLSearchParams(location.hash.slice(1)).get('view').split(',')[2])"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = make_home(tmp_path_factory.mktemp("page"))
    with serving(home, cache=home.parent / "cache") as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None:
        pytest.skip("no chromium on this machine; Debian has it as the package chromium")
    with sync_api.sync_playwright() as play:
        made = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


class Visit:
    """One visitor, whose browser's complaints and requests are written down."""

    def __init__(self, browser: Any, server: Server, **settings: Any) -> None:
        self.server = server
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **settings})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        self.page.on("pageerror", lambda fault: self.complaints.append(str(fault)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, rest: str = "", *, path: str = f"/site/{SITE}") -> Any:
        self.page.goto(f"{self.server.url}{path}{rest}")
        if path.startswith("/site/"):
            self.page.wait_for_selector("body[data-ready]")
            self.page.wait_for_selector("#map .leaflet-over-pane img.leaflet-image-layer, #map img.leaflet-image-layer")
        return self.page

    def clean(self) -> None:
        """Nothing was complained of, and nothing was asked of anybody else."""
        assert self.complaints == []
        assert [url for url in self.asked if not url.startswith((self.server.url, "blob:", "data:"))] == []


@pytest.fixture
def visit(browser: Any, server: Server) -> Iterator[Visit]:
    made = Visit(browser, server)
    yield made
    made.context.close()


def train(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.ask(f"/api/sites/{SITE}").json()["observations"][0]
    return found


def until(page: Any, condition: str) -> None:
    """Wait for a condition; Playwright's own wait would need the page to allow `eval`."""
    for _ in range(PATIENCE_MS // 50):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def date_of(page: Any) -> str:
    return str(page.locator("#at option:checked").inner_text())[:11].strip()


def test_from_the_list_to_a_date_and_back_by_its_link(visit: Visit) -> None:
    page = visit.open(path="/")
    page.wait_for_selector(".sites a")
    assert "Small yard <b>&amp;</b>" in page.locator(".sites a").first.inner_text()
    # It is watched under another name than its area's: it must not be told twice, once as never looked at.
    assert page.locator("#quiet").is_hidden()
    page.locator(".sites a").first.click()
    page.wait_for_selector("body[data-ready]")
    assert page.title().startswith("Small yard <b>")
    assert date_of(page) == "21 Oct 2023"
    page.select_option("#at", index=2)
    assert date_of(page) == "13 Oct 2023"
    assert page.locator(".thing-head").count() >= 1
    assert page.locator("path.track.state-o").count() == 1 and page.locator("path.track.state-e").count() == 1
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    assert date_of(page) == "13 Oct 2023"
    visit.clean()


def test_two_dates_are_swiped_faded_and_flickered(visit: Visit) -> None:
    page = visit.open()
    page.check("#modes input[value=swipe]", force=True)
    page.wait_for_selector("#split:visible")
    assert "polygon" in page.evaluate("document.querySelector('.leaflet-over-pane').style.clipPath")
    # Marks are of the date on the right, and must not lie on the other's pixels.
    assert "polygon" in page.evaluate("document.querySelector('.leaflet-marks-pane').style.clipPath")
    handle = page.locator("#split").bounding_box()
    page.mouse.move(handle["x"] + 14, handle["y"] + 60)
    page.mouse.down()
    page.mouse.move(handle["x"] - 200, handle["y"] + 60)
    page.mouse.up()
    assert int(page.input_value("#part")) < 45
    page.check("#modes input[value=fade]", force=True)
    page.locator("#part").fill("30")
    assert page.evaluate("document.querySelector('.leaflet-over-pane').style.opacity") == "0.3"
    page.check("#modes input[value=flicker]", force=True)
    shown = page.inner_text("#tag-right")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    assert page.inner_text("#tag-right") != shown
    page.keyboard.press("Space")
    assert page.inner_text("#tag-right") == shown
    page.click("#play")
    until(page, f"document.getElementById('tag-right').textContent !== {json.dumps(shown)}")
    page.click("#play")
    assert "mode=flicker" in page.url
    visit.clean()


def test_a_finding_is_zoomed_to_and_reviewed_and_kept(visit: Visit, server: Server) -> None:
    page = visit.open()
    found = train(server)
    whole = page.evaluate(ZOOM)
    page.click("#stays summary")
    page.locator(".stays-list button").first.click()
    page.wait_for_selector(".thing.chosen form")
    assert f"thing={found['id']}" in page.url
    until(page, f"{ZOOM} > {whole} + 0.4")
    page.check(".thing.chosen input[value=correct]", force=True)
    page.fill(".thing.chosen input[name=railcars]", "14")
    page.fill(".thing.chosen textarea", "Counted <script>alert(1)</script> twice")
    page.fill(".thing.chosen input[name=reviewer]", "Pak")
    page.click(".thing.chosen button[type=submit]")
    page.wait_for_selector(".thing.chosen .said li.correct")
    page.reload()
    page.wait_for_selector(".thing.chosen .said li.correct")
    told = page.locator(".thing.chosen .said").inner_text()
    assert "Pak corrected" in told and "14 railcars" in told and "<script>alert(1)</script>" in told
    assert page.input_value(".thing.chosen input[name=reviewer]") == "Pak"
    visit.clean()


def test_what_the_server_refuses_is_told_in_the_form(visit: Visit, server: Server) -> None:
    page = visit.open(f"#at=20231013_023000_small&thing={train(server)['id']}")
    page.check(".thing.chosen input[value=correct]", force=True)
    page.fill(".thing.chosen input[name=reviewer]", "Pak")
    page.click(".thing.chosen button[type=submit]")
    until(page, "document.querySelector('.thing.chosen form .warn').textContent.includes('railcars')")


def test_metres_are_measured(visit: Visit, server: Server) -> None:
    page = visit.open()
    page.click("#measure")
    box = page.locator("#map").bounding_box()
    for share in (0.25, 0.75):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
    zoom = float(page.url.split("view=")[1].split("&")[0].split("%2C")[2])
    wanted = 0.5 * box["width"] / 2**zoom
    told = float(page.inner_text("#measured").split(" ")[0])
    assert abs(told - wanted) <= 1.5 * 2**-zoom + 0.5
    page.keyboard.press("Escape")
    assert page.locator("#measured").is_hidden()
    visit.clean()


def test_the_view_is_saved_as_a_figure(visit: Visit) -> None:
    page = visit.open("#mode=swipe")
    with page.expect_download() as awaited:
        page.click("#export")
    content = Path(awaited.value.path()).read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and awaited.value.suggested_filename.startswith(SITE)
    wide, high = struct.unpack(">II", content[16:24])
    assert wide >= 1500 and high > 800 and len(content) > 50_000
    visit.clean()


def test_an_area_is_drawn_and_saved(visit: Visit) -> None:
    page = visit.open()
    page.click("#edit")
    page.wait_for_selector("#area .features li")
    page.select_option("#area select", "track")
    page.locator("#area button", has_text="Draw").click()
    box = page.locator("#map").bounding_box()
    for share in (0.3, 0.5, 0.7):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + 0.52 * box["height"])
    page.locator("#area button", has_text="Finish").click()
    page.fill("#area .features input", "Drawn by hand")
    page.locator("#area button", has_text="Save").click()
    page.wait_for_selector("#area .good")
    path = page.inner_text("#area .good").split(": ")[1].split(". To watch")[0]
    saved = aoi.read(path)
    assert [track.name for track in saved.tracks] == ["t1", "t2", "Drawn by hand"]
    drawn = saved.tracks[2].line
    assert drawn.within(saved.polygon.buffer(0.01)) and len(drawn.coords) == 3
    # What was not touched is to the last digit as it was.
    assert saved.tracks[0].line.equals(aoi.read(Path(path).parents[2] / "sites" / "yard.geojson").tracks[0].line)
    visit.clean()


def test_what_is_no_area_is_said_and_not_saved(visit: Visit) -> None:
    page = visit.open()
    page.click("#edit")
    page.wait_for_selector("#area .features li")
    page.locator("#area button", has_text="Start empty").click()
    page.locator("#area button", has_text="Save").click()
    until(page, "document.querySelector('#area .warn')?.textContent.includes('site')")


def test_keys_alone_do_everything(visit: Visit, server: Server) -> None:
    page = visit.open()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert date_of(page) == "13 Oct 2023"
    page.keyboard.press("ArrowRight")
    assert date_of(page) == "17 Oct 2023"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    until(page, "location.href.includes('mode=flicker')")
    assert page.inner_text("#tag-right") != "13 Oct 2023"
    page.keyboard.press("Space")
    before = page.evaluate("location.href")
    page.keyboard.press("+")
    until(page, f"location.href !== {json.dumps(before)}")
    page.keyboard.press("m")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_timeout(400)
    page.keyboard.press("Enter")
    until(page, "document.getElementById('measured').textContent.endsWith(' m')")
    page.keyboard.press("Escape")
    page.focus("#later")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('thing-head')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(".thing.chosen form")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name === 'reviewer'"):
            break
    page.keyboard.type("Choe")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.thing.chosen .said')?.textContent.includes('Choe confirmed')")
    visit.clean()


def test_on_a_phone_nothing_is_cut_off(browser: Any, server: Server) -> None:
    visit = Visit(browser, server, viewport={"width": 375, "height": 720}, has_touch=True, is_mobile=True)
    for path in ("/", f"/site/{SITE}", "/api"):
        page = visit.open(path=path)
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path
    page = visit.open()
    page.locator("#earlier").tap()
    assert date_of(page) == "17 Oct 2023"
    visit.clean()
    visit.context.close()


def test_read_only_shows_no_forms(browser: Any, server: Server, tmp_path: Path) -> None:
    home = Path(server.process.args[4])  # type: ignore[index]
    with serving(home, "--read-only", cache=tmp_path) as closed:
        visit = Visit(browser, closed)
        page = visit.open(f"#at=20231013_023000_small&thing={train(server)['id']}")
        page.wait_for_selector(".thing.chosen")
        assert page.locator("form").count() == 0 and page.locator("#edit").is_hidden()
        visit.clean()
        visit.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Any, server: Server, scheme: str) -> None:
    found = find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    script = (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    visit = Visit(browser, server, color_scheme=scheme)
    thing = train(server)["id"]
    places = [("/", ""), ("/api", ""), (f"/site/{SITE}", f"#at=20231013_023000_small&mode=swipe&thing={thing}")]
    for path, rest in places:
        page = visit.open(rest, path=path)
        page.wait_for_timeout(300)
        page.evaluate(script)
        assert faults(page) == [], path
    page.click("#edit")
    page.wait_for_selector("#area .features li")
    page.locator("#area .features button").nth(1).click()
    assert faults(page) == []
    visit.context.close()


def faults(page: Any) -> list[str]:
    told = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in told["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
