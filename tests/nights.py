"""Nights over a story of some yards, undisturbed or killed at random: `python nights.py FOLDER KILLS SEED [real]`.

The story has scenes that come late, twice, out of order, processed again, under cloud, and some that cannot be read.
Each night runs in a process of its own that is killed (SIGKILL) after a random time and started again until the night
is done. With `real`, the detector itself judges the small series of `cli_material`; without, the stand-in of
`watch_material` says what the catalogue holds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import watch_material as material

from rail_watch.archive import archive_path, open_archive
from rail_watch.archive.export import export_lines
from rail_watch.watch.channels import channels_of
from rail_watch.watch.lock import one_run
from rail_watch.watch.night import Asked, Means, run_night
from rail_watch.watch.outbox import send_all, teller
from rail_watch.watch.rules import Rule
from rail_watch.watch.sites import WatchedSite

LISTED_NIGHTS = 90
RULES = (Rule(channels=("log", "feed")),)


@dataclass(frozen=True)
class Log:
    """A channel that writes each key down, and says so only when it is on the disk."""

    path: Path

    def send(self, messages: Sequence[Mapping[str, Any]], key: str) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(handle, "".join(f"{one['key']}\n" for one in messages).encode())
        os.fsync(handle)
        os.close(handle)


class Story:
    """What the catalogues list on each night, the same for the same seed."""

    def __init__(self, folder: Path, *, yards: int, nights: int, seed: int) -> None:
        self.yards = [material.Yard(folder, f"yard-{number}") for number in range(yards)]
        self.nights = nights
        self.listed: set[tuple[str, str]] = set()
        rng = random.Random(seed)
        self.arrivals: dict[int, list[tuple[material.Yard, int, dict[str, Any]]]] = {n: [] for n in range(nights)}
        for yard in self.yards:
            for number in range(nights):
                late = rng.choice((0, 0, 0, 1, 3))
                states = rng.choices(("ee", "oe", "oo", "uu", "eu", "xe"), (6, 4, 1, 2, 1, 0.3))[0]
                self._list(yard, number, number + late, states=states)
                if rng.random() < 0.15:
                    self._list(yard, number, number + late + 2, states=states.replace("x", "o"), version="2")

    def _list(self, yard: material.Yard, number: int, on: int, **told: Any) -> None:
        if on < self.nights:
            self.arrivals[on].append((yard, number, told))

    def write(self, night: int) -> None:
        """Bring the catalogues to the state of a night; they forget what is older than three months."""
        for yard, number, told in self.arrivals[night]:
            yard.add(number, **told)
        for yard in self.yards:
            self.listed |= {(yard.name, name) for name in yard.items}
            old = [name for name, item in yard.items.items() if item["properties"]["test:day"] < night - LISTED_NIGHTS]
            for name in old:
                del yard.items[name]
            yard.write()

    def sites(self) -> list[WatchedSite]:
        return [yard.watched(rules=RULES) for yard in self.yards]


def one_night(
    home: Path, sites: Sequence[WatchedSite], at: datetime, *, place: Path | str | None = None, **means: Any
) -> None:
    """What `rail-watch run --due` does."""
    clock = material.Clock(at)
    given: dict[str, Any] = {"judge": material.judge, "report": material.report, "tell": teller(home), **means}
    with one_run(home), open_archive(place or archive_path(home)) as archive, archive.engine.only_run():
        channels = channels_of(home, archive, clock=clock, environment={})
        run_night(Means(home=home, archive=archive, clock=clock, **given), sites, Asked())
        send_all(archive, {**channels, "log": Log(home / "sent.log")}, at)


def killed_night(rng: random.Random, longest_s: float, work: Callable[[], None]) -> int:
    """Do a night in processes of their own until one was not killed; return how many were.

    Each may live a little longer than the one before: on a machine that has grown busy none would ever come to its end.
    """
    kills = 0
    while True:
        child = os.fork()
        if child == 0:
            try:
                work()
            except BaseException as fault:  # noqa: BLE001 - the child must end here, whatever it was
                os.write(2, f"{type(fault).__name__}: {fault}\n".encode())
                os._exit(1)
            os._exit(0)
        deadline = time.monotonic() + rng.uniform(0, longest_s * (1 + kills / 10))
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            time.sleep(0.0005)
        else:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kills += 1
        elif os.WEXITSTATUS(status) != 0:
            raise RuntimeError("a night failed by itself")
        else:
            return kills


def both(plain: Path, hit: Path, rng: random.Random, work: Callable[[Path], None]) -> int:
    """Do a night undisturbed in one home, and killed over and over in the other; return how often."""
    start = time.monotonic()
    killed_night(random.Random(0), 1e9, partial(work, plain))
    return killed_night(rng, (time.monotonic() - start) * 1.1, partial(work, hit))


def exported(home: Path) -> list[str]:
    with open_archive(archive_path(home)) as archive:
        faults = archive.check()
        if faults:
            raise RuntimeError(f"damaged: {faults}")
        return list(export_lines(archive))


def files_of(home: Path) -> dict[str, bytes]:
    """Every report and the feed, drafts too."""
    found = [path for name in ("reports", "alerts") for path in (home / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(home)): path.read_bytes() for path in found}


def stand_in(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill nights with the stand-in judge until enough were killed; every night is first done undisturbed beside it."""
    rng, plain, hit = random.Random(seed), folder / "plain", folder / "hit"
    story = Story(folder, yards=2, nights=10_000 if kills > 1000 else max(8, kills), seed=seed)
    done, number = 0, 0
    while done < kills and number < story.nights:
        story.write(number)
        work = partial(one_night, sites=story.sites(), at=material.evening(number))
        done += both(plain, hit, rng, work)
        number += 1
    return {"kills": done, "nights": number, **compared(plain, hit)}


def real(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill nights of the real detector over the small series, a scene arriving each night, again and again."""
    from cli_material import DAYS, write_aoi, write_series

    from rail_watch.cli.run import _judge, _report

    write_aoi(folder / "small.geojson")
    whole = write_series(folder / "whole")
    rng, done, turn = random.Random(seed), 0, 0
    result: dict[str, Any] = {}
    means = {"judge": _judge, "report": _report}
    while done < kills:
        source = folder / f"imagery-{turn}"
        source.mkdir()
        watched = replace(WatchedSite("small-yard", str(folder / "small.geojson"), str(source)), rules=RULES)
        plain, hit = folder / f"plain-{turn}", folder / f"hit-{turn}"
        for number in range(2, len(DAYS)):
            for day_ in DAYS[: number + 1] if number == 2 else DAYS[number : number + 1]:
                name = f"{day_}_023000_small.tif"
                (source / name).write_bytes((whole / name).read_bytes())
            at = datetime.strptime(DAYS[number], "%Y%m%d").replace(hour=14, tzinfo=UTC)
            done += both(plain, hit, rng, partial(one_night, sites=[watched], at=at, **means))
        turn += 1
        found = compared(plain, hit)
        result = {name: found[name] and result.get(name, True) for name in ("same_archive", "same_files")} | {
            name: found[name] + result.get(name, 0) for name in ("lines", "alerts", "lost", "doubled", "drafts")
        }
    return {"kills": done, "nights": turn * (len(DAYS) - 2), **result}


def compared(plain: Path, hit: Path) -> dict[str, Any]:
    """Say how a home that was hit differs from one that was not."""
    lines, files = exported(plain), files_of(plain)
    found = files_of(hit)
    wanted, sent = ((home / "sent.log").read_text(encoding="utf-8").split() for home in (plain, hit))
    drafts = [name for name in found if Path(name).name.startswith(".") or name.endswith(".part")]
    return {
        "lines": len(lines),
        "same_archive": lines == exported(hit),
        "same_files": files == {name: data for name, data in found.items() if name not in drafts},
        "drafts": len(drafts),
        "alerts": len(wanted),
        "lost": len(set(wanted) - set(sent)),
        "doubled": len(sent) - len(set(sent)),
    }


def year(folder: Path, yards: int, nights: int, seed: int) -> dict[str, Any]:
    """Live through many nights on a fast clock; return what was missed or doubled, and how time and size grew.

    Time is that of the processor: other work on the machine does not show.
    """
    story, home = Story(folder, yards=yards, nights=nights, seed=seed), folder / "home"
    seconds, sizes = [], []
    for number in range(nights):
        story.write(number)
        start = time.process_time()
        one_night(home, story.sites(), material.evening(number))
        seconds.append(time.process_time() - start)
        sizes.append(archive_path(home).stat().st_size)
    with open_archive(archive_path(home)) as archive:
        checks = archive.value("SELECT count(*) FROM run_site WHERE step = 'done'")
        scenes = archive.value("SELECT count(DISTINCT site || acquisition) FROM judgement")
        doubled = archive.value(
            "SELECT count(*) FROM (SELECT 1 FROM current GROUP BY site, acquisition HAVING count(*) > 1)"
        )
        same = archive.value(
            "SELECT count(*) FROM (SELECT 1 FROM observation AS o JOIN current AS c ON c.number = o.judgement "
            "GROUP BY c.site, c.acquisition, o.place HAVING count(*) > 1)"
        )
        faults = archive.check()
    quarter = max(nights // 4, 1)
    # In the first the catalogues still grow to the length they keep: the others are what must be flat.
    quarters = [seconds[start : start + quarter] for start in range(0, 4 * quarter, quarter)]
    return {
        "nights": nights,
        "yards": yards,
        "missed_checks": yards * nights - checks,
        "missed_scenes": len(story.listed) - scenes,
        "doubled": doubled + same,
        "damage": len(faults),
        "night_cpu_s_by_quarter": [round(sum(part) / quarter, 3) for part in quarters],
        "bytes_a_night_first_half": (sizes[nights // 2] - sizes[0]) // max(nights // 2, 1),
        "bytes_a_night_last_half": (sizes[-1] - sizes[nights // 2]) // max(nights - nights // 2 - 1, 1),
        "archive_bytes": sizes[-1],
        "sent_twice": _sent_twice(home),
    }


def _sent_twice(home: Path) -> int:
    sent = (home / "sent.log").read_text(encoding="utf-8").split()
    return len(sent) - len(set(sent))


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    chosen = real if sys.argv[4:] == ["real"] else stand_in
    print(json.dumps(chosen(folder, kills, seed)))


if __name__ == "__main__":
    main()
