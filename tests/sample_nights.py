"""The sample story night by night, by the real command, killed at random: `python sample_nights.py FOLDER KILLS SEED`.

The 3 m scenes of the shipped sites are served over loopback as a catalogue that grows as the story goes on, so that
the cache of windows is written too. Each night is `rail-watch run --due` with the real detector, reports, feed and a
webhook, once undisturbed and once killed (SIGKILL) after a random time and started again until it is done.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import nights
from server_material import serving

from rail_watch import detect  # noqa: F401 - loaded before the forks: each night would load it anew
from rail_watch import report as _report  # noqa: F401
from rail_watch.cli.main import run
from rail_watch.imagery import sample_imagery_path
from rail_watch.watch import channels, night, outbox  # noqa: F401

SITES = ("khasan", "tumangang", "tumen-bridge")
SENSOR = "simulated-planetscope-like"
TESTS = Path(__file__).resolve().parent


class Story:
    """A catalogue that holds what has been taken by the evening of each night."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(sample_imagery_path() / SENSOR, folder / SENSOR)
        shutil.copy(sample_imagery_path() / "catalog.json", folder)
        self._whole = json.loads((folder / SENSOR / "collection.json").read_text(encoding="utf-8"))
        catalogue = json.loads((folder / "catalog.json").read_text(encoding="utf-8"))
        catalogue["links"] = [one for one in catalogue["links"] if one["rel"] != "child" or SENSOR in one["href"]]
        (folder / "catalog.json").write_text(json.dumps(catalogue), encoding="utf-8")
        self.days = sorted({self._day(one) for one in self._whole["links"] if one["rel"] == "item"})

    @staticmethod
    def _day(link: Mapping[str, str]) -> str:
        return link["href"].split("_")[1][:8]

    def until(self, day: str) -> None:
        """List what was taken until a day."""
        links = [one for one in self._whole["links"] if one["rel"] != "item" or self._day(one) <= day]
        (self.folder / SENSOR / "collection.json").write_text(json.dumps({**self._whole, "links": links}))


@dataclass(frozen=True)
class Home:
    """One watch: its home, its cache and the receiver of its alerts."""

    folder: Path
    source: str
    hook: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def write(self) -> None:
        (self.home / "sites").mkdir(parents=True)
        rule = '[[rule]]\nchannels = ["feed", "hook"]\n'
        for name in SITES:
            text = f'aoi = "{name}"\nsource = "{self.source}"\n{rule}'
            (self.home / "sites" / f"{name}.toml").write_text(text, encoding="utf-8")
        text = f'[channel.hook]\ntype = "webhook"\nurl = "{self.hook}"\n'
        (self.home / "channels.toml").write_text(text, encoding="utf-8")

    def night(self, at: datetime) -> None:
        """Be the process of one night."""
        os.environ |= {"SOURCE_DATE_EPOCH": f"{at.timestamp():.0f}", "RAIL_WATCH_CACHE": str(self.cache)}
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = run(["--home", str(self.home), "run", "--due", "--quiet"])
        if status:
            raise RuntimeError(f"the run ended with status {status}")

    def chips(self) -> dict[str, bytes]:
        """Return what the cache would give out: windows with the digest that stands beside them."""
        found = {path.name: path for path in (self.cache / "chips").rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".")}


@contextmanager
def receiver(log: Path) -> Iterator[str]:
    """Start a receiver of webhooks."""
    command = [sys.executable, str(TESTS / "hook_server.py"), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.kill()


def story(folder: Path, rng: random.Random, kills: int, *, longest: int) -> dict[str, Any]:
    """Live through the story once, or until enough nights were killed."""
    told, done, count = Story(folder / "imagery"), 0, 0
    with (
        serving(folder / "imagery", folder / "requests.log") as server,
        receiver(folder / "plain.log") as quiet,
        receiver(folder / "hit.log") as hook,
    ):
        source = server.at("plain/x/catalog.json")
        plain, hit = Home(folder / "plain", source, quiet), Home(folder / "hit", source, hook)
        plain.write()
        hit.write()
        for day in told.days[:longest]:
            told.until(day)
            at = datetime.strptime(day, "%Y%m%d").replace(hour=14, tzinfo=UTC)
            start = time.monotonic()
            nights.killed_night(random.Random(0), 1e9, partial(plain.night, at))
            done += nights.killed_night(rng, (time.monotonic() - start) * 0.6, partial(hit.night, at))
            count += 1
            print(f"{day}: {done} kills so far in this story", file=sys.stderr, flush=True)
            if done >= kills:
                break
    for one in (plain, hit):
        log = folder / f"{one.folder.name}.log"
        (one.home / "sent.log").write_text(log.read_text(encoding="utf-8") if log.exists() else "", encoding="utf-8")
    chips = hit.chips()
    return {
        "kills": done,
        "nights": count,
        **nights.compared(plain.home, hit.home),
        "windows": sum(name.endswith(".tif") for name in chips),
        "same_cache": chips == plain.chips(),
        "cache_drafts": sum(path.name.startswith(".") for path in hit.cache.rglob("*")),
    }


def sample(folder: Path, kills: int, seed: int, *, longest: int = 1000) -> dict[str, Any]:
    """Live through the story again and again until enough nights were killed; sums over the stories."""
    rng, start, total, turn = random.Random(seed), time.monotonic(), {"kills": 0}, 0
    while total["kills"] < kills:
        place = folder / f"story-{turn}"
        place.mkdir(parents=True)
        found = story(place, rng, kills - total["kills"], longest=longest)
        # Long runs may be cut short: what is known by then is told.
        print(json.dumps(found), file=sys.stderr, flush=True)
        total = {
            name: (value and total.get(name, True)) if isinstance(value, bool) else value + total.get(name, 0)
            for name, value in found.items()
        }
        shutil.rmtree(place)
        turn += 1
    return {**total, "stories": turn, "seconds": round(time.monotonic() - start)}


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    longest = int(sys.argv[4]) if sys.argv[4:] else 1000
    print(json.dumps(sample(folder, kills, seed, longest=longest)))


if __name__ == "__main__":
    main()
