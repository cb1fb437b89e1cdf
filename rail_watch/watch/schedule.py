"""Text for the schedulers of this world: each calls `rail-watch run --due`, which knows itself what is due.

Called every hour: a check that failed is tried again within the day, one that was missed is made up, and no change of
clocks matters, since which night it is is counted in UTC by the archive and not by the scheduler.
"""

from __future__ import annotations

import plistlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from xml.sax.saxutils import escape

from rail_watch.archive.store import Archive, moment, time_of
from rail_watch.errors import BadInput, RailWatchError
from rail_watch.observe.words import largest_p_value
from rail_watch.watch.rules import Rule
from rail_watch.watch.sites import WatchedSite

KINDS = ("systemd", "cron", "launchd", "windows", "github", "kubernetes")
LABEL = "org.rail-watch.run"
CRON_BEGIN, CRON_END = "# rail-watch begin", "# rail-watch end"
MONTH = timedelta(days=30)
LOOKED_AT = 3 * MONTH
"""How far back looks are counted to say how many there are in a month."""


@dataclass(frozen=True)
class Job:
    """What is to be called."""

    program: str
    """Absolute path of rail-watch."""
    home: str
    """Absolute path of the home."""

    def __post_init__(self) -> None:
        for text in (self.program, self.home):
            if not text.isprintable():
                raise BadInput(f"{text[:100]!r}: a path with characters that cannot be printed cannot be scheduled")

    @property
    def arguments(self) -> list[str]:
        """The command line."""
        return [self.program, "--home", self.home, "run", "--due", "-q"]


def texts(kind: str, job: Job) -> dict[str, str]:
    """Return file name to text."""
    return _MAKERS[kind](job)


def _systemd(job: Job) -> dict[str, str]:
    command = " ".join(_unit_word(word) for word in job.arguments)
    service = (
        "[Unit]\nDescription=rail-watch: check the watched sites\nAfter=network-online.target\n"
        "Wants=network-online.target\n\n[Service]\nType=oneshot\n"
        f"ExecStart={command}\n"
        "# 3: some sites or scenes could not be checked. 5: another run is at work.\n"
        "SuccessExitStatus=3 5\nNice=10\nTimeoutStartSec=12h\nTimeoutStopSec=30min\nKillMode=mixed\n"
    )
    timer = (
        "[Unit]\nDescription=rail-watch: every hour, what is due\n\n[Timer]\nOnCalendar=hourly\nPersistent=true\n"
        "RandomizedDelaySec=10min\n\n[Install]\nWantedBy=timers.target\n"
    )
    return {"rail-watch.service": service, "rail-watch.timer": timer}


def _unit_word(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _cron(job: Job) -> dict[str, str]:
    # cron takes a bare % for the end of the line.
    command = " ".join(shlex.quote(word) for word in job.arguments).replace("%", "\\%")
    return {"crontab": f"{CRON_BEGIN}\n17 * * * * {command}\n{CRON_END}\n"}


def with_cron(table: str, block: str) -> str:
    """Return a crontab with the block of rail-watch in place of the one it had; an empty block removes it."""
    kept, inside = [], False
    for line in table.splitlines():
        inside = inside or line == CRON_BEGIN
        if not inside:
            kept.append(line)
        if line == CRON_END:
            inside = False
    return "".join(f"{line}\n" for line in kept) + block


def _launchd(job: Job) -> dict[str, str]:
    document = {
        "Label": LABEL,
        "ProgramArguments": job.arguments,
        "StartCalendarInterval": {"Minute": 17},
        "ProcessType": "Background",
        "RunAtLoad": True,
    }
    return {f"{LABEL}.plist": plistlib.dumps(document).decode()}


def _windows(job: Job) -> dict[str, str]:
    arguments = " ".join(f'"{word}"' if " " in word else word for word in job.arguments[1:])
    return {
        "rail-watch.xml": f"""<?xml version="1.0"?>
<Task version="1.3" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>2024-01-01T00:17:00Z</StartBoundary>
      <Repetition><Interval>PT1H</Interval></Repetition>
      <RandomDelay>PT10M</RandomDelay>
      <ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <StartWhenAvailable>true</StartWhenAvailable>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <ExecutionTimeLimit>PT12H</ExecutionTimeLimit>
  </Settings>
  <Actions>
    <Exec><Command>{escape(job.program)}</Command><Arguments>{escape(arguments)}</Arguments></Exec>
  </Actions>
</Task>
"""
    }


def _github(_: Job) -> dict[str, str]:
    return {
        ".github/workflows/rail-watch.yml": """# The home lies in a branch of its own, `watch`.
name: rail-watch
on:
  schedule:
    - cron: "17 3 * * *"   # UTC
  workflow_dispatch:
concurrency: rail-watch     # one run at a time
permissions:
  contents: write
jobs:
  run:
    runs-on: ubuntu-latest
    timeout-minutes: 350
    steps:
      - uses: actions/checkout@v4
        with: {ref: watch}
      - uses: actions/setup-python@v5
        with: {python-version: "3.12"}
      - run: pip install rail-watch
      - id: run
        run: rail-watch --home home run --due || [ $? -eq 3 ]
      - if: always()
        run: |
          rail-watch --home home archive check
          git config user.name rail-watch && git config user.email rail-watch@users.noreply.github.com
          git add home && git commit -m "What was seen" && git push || true
"""
    }


def _kubernetes(_: Job) -> dict[str, str]:
    return {
        "rail-watch.yaml": """apiVersion: batch/v1
kind: CronJob
metadata: {name: rail-watch}
spec:
  schedule: "17 * * * *"
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3000
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 1800   # SIGTERM lets it finish the piece in hand
          containers:
            - name: rail-watch
              image: rail-watch:latest           # an image with `pip install rail-watch` in it
              args: [rail-watch, --home, /home/watch, run, --due]
              volumeMounts: [{name: home, mountPath: /home/watch}]
          volumes:
            - name: home
              persistentVolumeClaim: {claimName: rail-watch}   # block storage: SQLite and network folders do not agree
"""
    }


_MAKERS: Mapping[str, Callable[[Job], dict[str, str]]] = {
    "systemd": _systemd, "cron": _cron, "launchd": _launchd, "windows": _windows, "github": _github,
    "kubernetes": _kubernetes,
}  # fmt: skip


@dataclass(frozen=True)
class FalseAlerts:
    """How many false alerts a month the rate asked of a site leads one to expect."""

    site: str
    rate: float
    """False alarms asked for, per track, deck or apron and look."""
    looks_a_month: float | None
    """Looks at a track or deck that could see it; None before there are any."""
    apron_looks_a_month: float | None
    expected: float | None
    """False trains a month: rate times looks."""
    by_rule: tuple[float, ...] = ()
    """At most so many false alerts a month, for each rule of the site in its order."""


def false_alerts(archive: Archive | None, sites: Sequence[WatchedSite]) -> list[FalseAlerts]:
    """Return the false alerts to expect: rate times looks in a month, by the last 90 days of the archive.

    The rate is per track, deck or apron and look, and holds for looks that could see. A p-value that is false is as
    likely to lie anywhere below the rate, so that of the false finds a rule that asks for a likelihood tells as many
    as have a p-value of that likelihood: the smaller of the two limits, times looks. Each false find makes an alert
    when it comes and at most one when it goes. Rules that ask for a length or an area tell fewer.
    """
    return [_false_alerts(archive, one) for one in sites]


def _false_alerts(archive: Archive | None, watched: WatchedSite) -> FalseAlerts:
    rate = watched.false_alarm_rate
    nothing = FalseAlerts(watched.name, rate, None, None, None)
    try:
        site = watched.site().id
    except RailWatchError:
        return nothing
    found = None if archive is None else _looks_a_month(archive, site)
    if found is None:
        return nothing
    trains = found["track"] + found["bridge"]
    by_rule = tuple(_of_rule(rule, found, rate) for rule in watched.rules)
    return FalseAlerts(watched.name, rate, trains, found["apron"], rate * trains, by_rule)


def _looks_a_month(archive: Archive, site: str) -> dict[str, float] | None:
    """Return the looks that could see, a month, by what they looked at; None before there is any scene."""
    last = archive.value("SELECT max(datetime) FROM current WHERE site = ?", (site,))
    if last is None:
        return None
    first = time_of(last) - LOOKED_AT
    rows = archive.rows(
        "SELECT l.role, count(*) AS looks FROM current AS c JOIN look AS l ON l.judgement = c.number WHERE c.site = ? "
        "AND c.datetime > ? AND l.state <> 'unknown' GROUP BY l.role",
        (site, moment(first)),
    )
    # A site that has been watched for longer than that had the whole time for these looks, whenever the first was.
    begin = time_of(archive.value("SELECT min(datetime) FROM current WHERE site = ?", (site,)))
    months = max((time_of(last) - max(begin, first)) / MONTH, 1 / 3)
    return {"track": 0.0, "bridge": 0.0, "apron": 0.0} | {row["role"]: row["looks"] / months for row in rows}


def _of_rule(rule: Rule, looks: Mapping[str, float], rate: float) -> float:
    told = {
        "train-arrived": looks["track"],
        "bridge": looks["bridge"],
        "train-departed": looks["track"] + looks["bridge"],
        "cargo-arrived": looks["apron"],
        "cargo-departed": looks["apron"],
    }
    return min(rate, largest_p_value(rule.at_least)) * sum(told.get(kind, 0.0) for kind in rule.what)


def folder_for(kind: str, user_home: Path) -> Path | None:
    """Return where the files of a scheduler belong; None where they are not files of this machine."""
    return {
        "systemd": user_home / ".config" / "systemd" / "user",
        "launchd": user_home / "Library" / "LaunchAgents",
    }.get(kind)
