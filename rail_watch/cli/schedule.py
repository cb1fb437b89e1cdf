"""``rail-watch schedule``: have the checks made by the scheduler of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rail_watch.cli.console import plain
from rail_watch.cli.home import home_of
from rail_watch.errors import BadInput, RailWatchError

if TYPE_CHECKING:
    from rail_watch.watch.schedule import FalseAlerts, Job

KINDS = ("systemd", "cron", "launchd", "windows", "github", "kubernetes")
PRINTED = ("github", "kubernetes")
SECONDS = 60

_kind = click.option(
    "--for", "kind", type=click.Choice(KINDS),
    help="Which scheduler.  [default: that of this machine: systemd, launchd, windows, else cron]",
)  # fmt: skip


@click.group(name="schedule")
def command() -> None:
    """Print, install and remove the nightly check for the scheduler of this machine or of a service.

    Every hour `run --due` is called, which does what is due and nothing else. When a site is due is counted in UTC.
    """


@command.command()
@_kind
@click.pass_context
def show(ctx: click.Context, kind: str | None) -> None:
    """Print what `install` would write, and the number of false alerts to expect."""
    from rail_watch.watch.schedule import texts

    chosen = kind or _here()
    for name, text in texts(chosen, _job(ctx)).items():
        click.echo(f"# ---- {name}" if chosen not in ("windows", "launchd") else f"<!-- {name} -->")
        click.echo(text)
    for line in _expected(ctx):
        click.echo(f"# {line}", err=True)
    if chosen not in PRINTED:
        click.echo("# nothing was installed: `rail-watch schedule install` does that", err=True)


@command.command()
@_kind
@click.pass_context
def install(ctx: click.Context, kind: str | None) -> None:
    """Have the check made every hour from now on, for this user; to do it again changes nothing."""
    from rail_watch.watch.schedule import texts, with_cron

    chosen = kind or _here()
    made = texts(chosen, _job(ctx))
    if chosen in PRINTED:
        raise BadInput(
            f"{chosen} is not of this machine; `rail-watch schedule show --for {chosen}` prints what to keep there"
        )
    if chosen == "cron":
        _call(["crontab", "-"], given=with_cron(_crontab(), made["crontab"]))
    else:
        _install_files(chosen, made)
    click.echo(f"{chosen}: installed; `rail-watch status` says when sites are checked")


@command.command()
@_kind
@click.pass_context
def remove(ctx: click.Context, kind: str | None) -> None:
    """Have no checks made any more; the archive stays."""
    from rail_watch.watch.schedule import texts, with_cron

    chosen = kind or _here()
    if chosen in PRINTED:
        raise BadInput(f"{chosen} is not of this machine; remove it where you keep it")
    if chosen == "cron":
        _call(["crontab", "-"], given=with_cron(_crontab(), ""))
    else:
        _remove_files(chosen, list(texts(chosen, _job(ctx))))
    click.echo(f"{chosen}: removed")


def _here() -> str:
    if sys.platform == "darwin":
        return "launchd"
    if sys.platform == "win32":
        return "windows"
    return "systemd" if shutil.which("systemctl") and Path("/run/systemd/system").is_dir() else "cron"


def _job(ctx: click.Context) -> Job:
    from rail_watch.watch.schedule import Job

    beside = Path(sys.executable).parent / ("rail-watch.exe" if os.name == "nt" else "rail-watch")
    found = str(beside) if beside.exists() else shutil.which("rail-watch")
    if found is None:
        raise BadInput("the command rail-watch is not on the PATH; install it with pip")
    return Job(str(Path(found).absolute()), str(home_of(ctx).absolute()))


def _expected(ctx: click.Context) -> list[str]:
    """Say how many false alerts to expect."""
    from rail_watch.archive import archive_place
    from rail_watch.archive.store import read_archive
    from rail_watch.watch.schedule import false_alerts
    from rail_watch.watch.sites import watched_sites

    home = home_of(ctx)
    place = archive_place(home, os.environ)
    archive = read_archive(place) if isinstance(place, str) or place.is_file() else None
    found = false_alerts(archive, watched_sites(home))
    if archive is not None:
        archive.close()
    return [plain(line) for one in found for line in _expected_of(one)]


def _expected_of(one: FalseAlerts) -> list[str]:
    if one.expected is None:
        return [f"{one.site}: false alerts to expect are known after the first check"]
    looks = f"{one.looks_a_month:.0f} looks at tracks and decks, {one.apron_looks_a_month:.0f} at aprons, a month"
    lines = [f"{one.site}: {looks}, at a rate of {one.rate:g}: about {one.expected:.1f} false trains"]
    for number, alerts in enumerate(one.by_rule, start=1):
        which = "its rule" if len(one.by_rule) == 1 else f"rule {number}"
        lines.append(f"{one.site}: {which} sends at most {alerts:.1f} false alerts a month, coming and going")
    return lines


def _call(words: list[str], *, given: str | None = None) -> str:
    """Call a program of the system."""
    try:
        done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=SECONDS, check=False)
    except FileNotFoundError as fault:
        raise BadInput(f"{words[0]} is not on this machine; choose another scheduler with --for") from fault
    except subprocess.TimeoutExpired as fault:
        raise RailWatchError(f"{words[0]} did not end within {SECONDS} s") from fault
    if done.returncode:
        raise RailWatchError(f"{' '.join(words[:3])}: {plain(done.stderr)[:300] or f'status {done.returncode}'}")
    return done.stdout


def _crontab() -> str:
    """Return the user's table; none yet is an empty one."""
    try:
        done = subprocess.run(["crontab", "-l"], capture_output=True, text=True, timeout=SECONDS, check=False)
    except FileNotFoundError as fault:
        raise BadInput("crontab is not on this machine; choose another scheduler with --for") from fault
    if done.returncode and "no crontab" not in done.stderr:
        raise RailWatchError(f"crontab -l: {plain(done.stderr)[:300] or f'status {done.returncode}'}")
    return done.stdout if done.returncode == 0 else ""


def _install_files(kind: str, made: dict[str, str]) -> None:
    from rail_watch.cli.files import made as folder_made
    from rail_watch.cli.files import write_text
    from rail_watch.watch.schedule import folder_for

    folder = folder_for(kind, Path.home())
    if folder is None:
        _install_windows(made["rail-watch.xml"])
        return
    with folder_made(folder):
        written = [write_text(folder / name, text) for name, text in made.items()]
    if kind == "systemd":
        _call(["systemctl", "--user", "daemon-reload"])
        _call(["systemctl", "--user", "enable", "--now", "rail-watch.timer"])
    else:
        _call(["launchctl", "load", "-w", str(written[0])])


def _install_windows(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rail-watch.xml"
        path.write_text(text, encoding="utf-8")
        _call(["schtasks", "/Create", "/F", "/TN", "rail-watch", "/XML", str(path)])


def _remove_files(kind: str, names: list[str]) -> None:
    from rail_watch.watch.schedule import folder_for

    folder = folder_for(kind, Path.home())
    if folder is None:
        _call(["schtasks", "/Delete", "/F", "/TN", "rail-watch"])
        return
    if kind == "systemd":
        _call(["systemctl", "--user", "disable", "--now", "rail-watch.timer"])
    elif (folder / names[0]).is_file():
        _call(["launchctl", "unload", "-w", str(folder / names[0])])
    for name in names:
        (folder / name).unlink(missing_ok=True)
