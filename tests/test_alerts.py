"""Each alert is sent once, later where it must wait, and with a key where it may come twice."""

from __future__ import annotations

import http.server
import json
import socketserver
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from archive_material import day, site
from hypothesis import given
from hypothesis import strategies as st
from watch_material import Yard, evening, night

from rail_watch.archive import archive_path, open_archive
from rail_watch.cli.main import run
from rail_watch.errors import BadInput
from rail_watch.watch.channels import Mail, Webhook, channels_of, signature_of, text_of, title_of
from rail_watch.watch.feed import ATOM, GEORSS, atom
from rail_watch.watch.health import ping
from rail_watch.watch.news import News
from rail_watch.watch.night import Told
from rail_watch.watch.outbox import ChannelFault, message_of, one_line, send_all, teller, wait_after, wanted
from rail_watch.watch.rules import Rule


@dataclass
class Box:
    """A channel that keeps what it is given, or refuses it."""

    refuses: bool = False
    got: list[tuple[list[str], str]] = field(default_factory=list)

    def send(self, messages: Sequence[Mapping[str, Any]], key: str) -> None:
        if self.refuses:
            raise ChannelFault("not today")
        self.got.append(([one["kind"] for one in messages], key))


def news(**changes: Any) -> News:
    made = News("yard:train-arrived:x", "train-arrived", "yard", day(1), "A train.", "What it carries.", "very likely")
    return replace(made, **{"length_m": 120.0, "lonlat": (130.6, 42.0), "simulated": True, **changes})


def message(**changes: Any) -> dict[str, Any]:
    told = Told("r1", day(2), Path("/home/reports/yard/r1"), (Path("/home/reports/yard/r1/2023-10-02-0230-x.png"),))
    return message_of(news(**changes), site(), told, Path("/home"))


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    made = Yard(tmp_path)
    for number, states in enumerate(("ee", "ee", "oe", "oe", "ee")):
        made.add(number, states)
    return made.write()


def watch(yard: Yard, at: datetime, *rules: Rule) -> Path:
    home = yard.folder / "home"
    night(home, [yard.watched(rules=rules or (Rule(channels=("box",)),))], at, tell=teller(home))
    return home


def sent(home: Path, box: Box, at: datetime) -> list[list[str]]:
    with open_archive(archive_path(home)) as archive:
        send_all(archive, {"box": box}, at)
    return [kinds for kinds, _ in box.got]


def test_each_alert_is_sent_once(yard: Yard) -> None:
    home, box = watch(yard, evening(4)), Box()
    assert sent(home, box, evening(4)) == [["train-arrived"], ["train-departed"]]
    watch(yard, evening(4))
    assert len(sent(home, box, evening(5))) == 2


def test_what_is_refused_waits_longer_each_time_and_keeps_its_key(yard: Yard) -> None:
    home, box = watch(yard, evening(4)), Box(refuses=True)
    for minutes in (0, 4, 6, 10, 20):
        sent(home, box, evening(4) + timedelta(minutes=minutes))
    with open_archive(archive_path(home)) as archive:
        rows = archive.rows("SELECT attempts, fault, sent FROM delivery ORDER BY attempts DESC")
    assert (rows[0]["attempts"], rows[0]["fault"], rows[0]["sent"]) == (3, "not today", None)
    box.refuses = False
    assert sent(home, box, evening(5)) == [["train-arrived"], ["train-departed"]]


def test_a_kill_between_sending_and_marking_sends_the_same_key_again(yard: Yard) -> None:
    home, box = watch(yard, evening(4)), Box()

    class Killed(Box):
        def send(self, messages: Sequence[Mapping[str, Any]], key: str) -> None:
            box.send(messages, key)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_archive(archive_path(home)) as archive:
        send_all(archive, {"box": Killed()}, evening(4))
    sent(home, box, evening(4))
    assert [kinds for kinds, _ in box.got] == [["train-arrived"], ["train-arrived"], ["train-departed"]]
    assert box.got[0][1] == box.got[1][1]


def test_a_digest_is_one_message(yard: Yard) -> None:
    home, box = watch(yard, evening(4), Rule(channels=("box",), digest=True)), Box()
    assert sent(home, box, evening(4)) == [["train-arrived", "train-departed"]]


def test_a_digest_that_is_sent_again_is_the_same_message_whatever_came_since(yard: Yard) -> None:
    rule = Rule(channels=("box",), digest=True)
    home, box = watch(yard, evening(4), rule), Box()

    class Killed(Box):
        def send(self, messages: Sequence[Mapping[str, Any]], key: str) -> None:
            box.send(messages, key)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_archive(archive_path(home)) as archive:
        send_all(archive, {"box": Killed()}, evening(4))
    yard.add(5, "oe")
    yard.write()
    watch(yard, evening(5), rule)
    sent(home, box, evening(5))
    assert [kinds for kinds, _ in box.got] == [["train-arrived", "train-departed"]] * 2 + [["train-arrived"]]
    assert box.got[0] == box.got[1] and box.got[2][1] != box.got[0][1]


def test_what_a_clock_gone_wrong_held_back_for_years_is_sent_when_it_is_right(yard: Yard) -> None:
    home, box = watch(yard, evening(4)), Box(refuses=True)
    sent(home, box, evening(4 + 3650))
    box.refuses = False
    assert sent(home, box, evening(4)) == [["train-arrived"], ["train-departed"]]


def test_a_digest_has_the_picture_of_each_of_its_alerts_once(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"\x89PNG" + name.encode())
    mail = Mail("127.0.0.1", 9, "none", None, None, "a@example.org", ("b@example.org",), tmp_path)
    messages = [{**message(), "picture": name} for name in ("a.png", "b.png", "a.png", "gone.png", None)]
    made = mail.message(messages, "key")
    assert [part.get_filename() for part in made.iter_attachments()] == ["a.png", "b.png"]


def test_quiet_hours_hold_messages_back(yard: Yard) -> None:
    home, box = watch(yard, evening(4), Rule(channels=("box",), quiet=(time(12), time(16)))), Box()
    assert sent(home, box, evening(4)) == []
    assert len(sent(home, box, evening(4).replace(hour=16, minute=0))) == 2


def test_what_is_older_than_the_look_back_is_not_told(yard: Yard) -> None:
    home, box = watch(yard, evening(50)), Box()
    assert sent(home, box, evening(50)) == [["nothing-seen"]]


def test_a_channel_that_is_not_there_is_named(yard: Yard) -> None:
    home = watch(yard, evening(4), Rule(channels=("gone",)))
    with open_archive(archive_path(home)) as archive:
        assert send_all(archive, {}, evening(4)).faults == (
            "alerts wait for the channel 'gone', which channels.toml does not have",
        )


@pytest.mark.parametrize(
    ("rule", "piece", "told"),
    [
        (Rule(), {}, True),
        (Rule(what=("bridge",)), {}, False),
        (Rule(at_least="almost certain"), {}, False),
        (Rule(at_least="very likely"), {}, True),
        (Rule(least_length_m=121), {}, False),
        (Rule(least_length_m=120), {}, True),
        (Rule(least_railcars=5), {}, False),
        (Rule(least_railcars=5), {"railcars": 5}, True),
        (Rule(least_area_m2=50), {"kind": "cargo-arrived", "area_m2": 49.0}, False),
        (Rule(least_area_m2=50), {"kind": "cargo-arrived", "area_m2": 50.0, "length_m": None}, True),
        (Rule(least_railcars=9), {"kind": "cargo-arrived", "area_m2": 50.0, "length_m": None}, True),
        (Rule(), {"kind": "nothing-seen", "likelihood": None, "length_m": None}, True),
    ],
)
def test_rules(rule: Rule, piece: dict[str, Any], told: bool) -> None:
    assert wanted(rule, news(**piece)) is told


SEOUL, BERLIN = "Asia/Seoul", "Europe/Berlin"


@pytest.mark.parametrize(
    ("zone", "now", "until"),
    [
        (SEOUL, "2023-10-01T12:59:00", "2023-10-01T12:59:00"),
        (SEOUL, "2023-10-01T13:00:00", "2023-10-01T21:00:00"),
        (SEOUL, "2023-10-01T20:59:00", "2023-10-01T21:00:00"),
        (BERLIN, "2023-03-25T21:30:00", "2023-03-26T04:00:00"),
        (BERLIN, "2023-03-26T00:59:00", "2023-03-26T04:00:00"),
        (BERLIN, "2023-10-28T21:30:00", "2023-10-29T05:00:00"),
        (BERLIN, "2023-10-29T00:30:00", "2023-10-29T05:00:00"),
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall_also_in_a_night_of_change(zone: str, now: str, until: str) -> None:
    rule = Rule(quiet=(time(22), time(6)), zone=zone)
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert rule.quiet_until(at) == datetime.fromisoformat(until).replace(tzinfo=UTC)


@given(st.datetimes(datetime(2023, 1, 1), datetime(2024, 1, 1)), st.times(), st.times())
def test_quiet_hours_never_hold_back_for_more_than_a_day(now: datetime, first: time, last: time) -> None:
    first, last = (clock.replace(second=0, microsecond=0) for clock in (first, last))
    at = now.replace(tzinfo=UTC)
    until = Rule(quiet=(first, last), zone=BERLIN).quiet_until(at)
    assert timedelta(0) <= until - at <= timedelta(hours=25)
    if until != at:
        assert until.astimezone(ZoneInfo(BERLIN)).time() == last or until.astimezone(ZoneInfo(BERLIN)).hour == 3


def test_waits_grow_and_are_bounded() -> None:
    waits = [wait_after(n) for n in range(1, 100)]
    assert waits[0] == timedelta(minutes=5) and waits == sorted(waits) and waits[-1] == timedelta(hours=12)


def test_a_message_carries_picture_evidence_and_what_cannot_be_told() -> None:
    found = message(sentence="Ein\nZug\x1b[2J\u202e", new_on_record=("First.",))
    assert found["sentence"] == "SIMULATED imagery. Ein Zug[2J" and found["cannot_tell"]
    assert found["picture"] == "reports/yard/r1/2023-10-02-0230-x.png"
    assert found["evidence"] == "reports/yard/r1/detections.json"
    assert "First.\nWhat it carries.\nPicture: reports" in text_of([found])
    assert title_of([found]) == "The yard: train arrived" and title_of([found] * 2) == "2 pieces of news from The yard"
    json.dumps(found)


@given(st.text(), st.text())
def test_a_feed_is_xml_whatever_stands_in_it(sentence: str, name: str) -> None:
    hostile = {**message(), "sentence": sentence, "name": name, "evidence": name, "kind": sentence, "picture": name}
    feed = ElementTree.fromstring(atom([hostile], day(3)).encode("utf-8", "replace").decode())
    entry = feed.find(f"{{{ATOM}}}entry")
    assert entry is not None and not [one for one in entry if one.tag.startswith("{http://www.w3.org/1999")]
    assert entry.findtext(f"{{{GEORSS}}}point") == "42.0 130.6"


def test_the_feed_is_a_file_and_the_same_again(yard: Yard) -> None:
    home = watch(yard, evening(4), Rule())
    with open_archive(archive_path(home)) as archive:
        channels = channels_of(home, archive, clock=lambda: evening(4), environment={})
        assert send_all(archive, channels, evening(4)).sent == 2
        feed = home / "alerts" / "feed.atom"
        before = feed.read_bytes()
        channels["feed"].send([], "again")
        assert feed.read_bytes() == before
    entries = ElementTree.fromstring(before.decode()).findall(f"{{{ATOM}}}entry")
    assert [one.findtext(f"{{{ATOM}}}title") for one in entries] == [
        "The yard: train departed",
        "The yard: train arrived",
    ]
    (link,) = entries[1].findall(f"{{{ATOM}}}link")
    assert (feed.parent / link.attrib["href"]).is_file()


def test_a_feed_elsewhere_finds_the_pictures(yard: Yard, tmp_path: Path) -> None:
    home = watch(yard, evening(4), Rule(channels=("far",)))
    (home / "channels.toml").write_text(f'[channel.far]\ntype = "feed"\nfile = "{tmp_path}/www/a/feed.atom"\n')
    with open_archive(archive_path(home)) as archive:
        channels = channels_of(home, archive, clock=lambda: evening(4), environment={})
        assert send_all(archive, channels, evening(4)).sent == 2
    feed = tmp_path / "www" / "a" / "feed.atom"
    links = [one.attrib["href"] for one in ElementTree.parse(feed).iter(f"{{{ATOM}}}link")]
    assert len(links) == 2 and all((feed.parent / link).is_file() for link in links)


@contextmanager
def babbling() -> Iterator[str]:
    """Something that answers, but not in HTTP."""

    class Babble(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"what?\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Babble) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/planted"
        thread.join()


def test_what_answers_but_not_in_http_is_a_fault_like_any_other() -> None:
    with babbling() as url, pytest.raises(ChannelFault, match=r"did not answer \(BadStatusLine\)"):
        Webhook(url, None, lambda: day(0)).send([message()], "key")
    with babbling() as url:
        assert ping(url, failed=False) == "the ping address did not answer (BadStatusLine)"


class _Hook(http.server.BaseHTTPRequestHandler):
    answers: list[int] = []  # noqa: RUF012 - one list for all requests
    got: list[tuple[dict[str, str], bytes]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((dict(self.headers), body))
        code = self.answers.pop(0) if self.answers else 200
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[str]:
    _Hook.got.clear()
    _Hook.answers.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook?token=planted"
        server.shutdown()
        thread.join()


def test_a_webhook_is_signed(hook: str) -> None:
    Webhook(hook, b"secret", lambda: day(0)).send([message()], "key")
    headers, body = _Hook.got[0]
    assert headers["Idempotency-Key"] == "key" and json.loads(body)["alerts"][0]["kind"] == "train-arrived"
    assert headers["X-Rail-Watch-Signature"] == signature_of(b"secret", headers["X-Rail-Watch-Timestamp"], body)
    assert signature_of(b"secret", "0", body) != signature_of(b"other", "0", body) != signature_of(b"secret", "1", body)


@pytest.mark.parametrize("code", [302, 404, 500])
def test_a_webhook_that_refuses_is_not_followed_and_its_token_not_told(hook: str, code: int) -> None:
    _Hook.answers.append(code)
    with pytest.raises(ChannelFault, match=rf"127.0.0.1 answered {code}") as fault:
        Webhook(hook, None, lambda: day(0)).send([message()], "key")
    assert len(_Hook.got) == 1 and "planted" not in str(fault.value)


def test_a_webhook_that_is_not_there() -> None:
    with pytest.raises(ChannelFault, match=r"127\.0\.0\.1 did not answer") as fault:
        Webhook("http://127.0.0.1:9/planted", None, lambda: day(0)).send([message()], "key")
    assert "planted" not in str(fault.value)


def test_a_mail_has_one_subject_a_picture_and_a_stable_id(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG")
    mail = Mail("127.0.0.1", 9, "none", None, None, "a@example.org", ("b@example.org",), tmp_path)
    made = mail.message([{**message(), "name": "Yard\r\nBcc: c@example.org", "picture": "p.png"}], "key")
    assert made["Subject"] == "Yard Bcc: c@example.org: train arrived" and made["Bcc"] is None
    assert made["Message-ID"] == "<key@rail-watch.invalid>"
    assert [part.get_filename() for part in made.iter_attachments()] == ["p.png"]
    with pytest.raises(ChannelFault, match="did not take the mail"):
        mail.send([message()], "key")


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_apprise_sends_to_a_webhook(hook: str, tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="the extra `alerts` is not installed")
    from rail_watch.watch.channels import Apprise

    Apprise(hook.replace("http://", "json://"), tmp_path).send([{**message(), "picture": None}], "key")
    assert json.loads(_Hook.got[0][1])["title"] == "The yard: train arrived"
    with pytest.raises(ChannelFault, match="does not know"):
        Apprise("nonsense://x", tmp_path).send([message()], "key")


def test_a_plugin_of_apprise_that_breaks_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def add(self, _url: str) -> bool:
            return True

        def notify(self, **_: object) -> bool:
            raise TypeError("planted")

    monkeypatch.setitem(sys.modules, "apprise", SimpleNamespace(Apprise=Broken))
    from rail_watch.watch.channels import Apprise

    with pytest.raises(ChannelFault, match=r"apprise failed \(TypeError\)") as fault:
        Apprise("x://planted", tmp_path).send([message()], "key")
    assert "planted" not in str(fault.value)


def made_of(tmp_path: Path, text: str, **environment: str) -> dict[str, Any]:
    (tmp_path / "channels.toml").write_text(text, encoding="utf-8")
    with open_archive(archive_path(tmp_path)) as archive:
        return dict(channels_of(tmp_path, archive, clock=lambda: day(0), environment=environment))


def test_channels_are_read_and_secrets_come_from_the_environment(tmp_path: Path) -> None:
    text = (
        '[channel.hook]\ntype = "webhook"\nurl_env = "HOOK"\nsecret_env = "KEY"\n'
        '[channel.mail]\ntype = "mail"\nhost = "h"\nfrom = "a@x"\nto = ["b@x"]\npassword_env = "KEY"\n'
        '[channel.more]\ntype = "feed"\nfile = "public/feed.atom"\n'
    )
    found = made_of(tmp_path, text, HOOK="https://example.org/x", KEY="s")
    assert set(found) == {"feed", "hook", "mail", "more"}
    assert found["hook"].secret == b"s" and found["mail"].port == 587
    assert found["more"].path == tmp_path / "public" / "feed.atom"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[channel.x]", "no type"),
        ('[channel.x]\ntype = "pigeon"', "one of feed, webhook"),
        ('[channel.x]\ntype = "webhook"', "url must be"),
        ('[channel.x]\ntype = "webhook"\nurl = "file:///etc/passwd"', "url must be"),
        ('[channel.x]\ntype = "webhook"\nurl = "http://x"\nsecret_env = "NOT_SET"', "NOT_SET, which is not set"),
        ('[channel.x]\ntype = "mail"\nto = ["b@x"]', "lacks host"),
        ('[channel.x]\ntype = "mail"\nhost = "h"', "lacks to"),
        ('[channel.x]\ntype = "apprise"', "lacks url"),
        ('[channel.x]\ntype = "feed"\nfile = "f"\nfiel = 1', "'fiel' is not known"),
        ('[chanel.x]\ntype = "feed"', "'chanel' is not known"),
        ("channel = 3", r"\[channel.NAME\]"),
    ],
)
def test_a_wrong_channel_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        made_of(tmp_path, text)


def test_without_apprise_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(BadInput, match=r"pip install 'rail-watch\[alerts\]'"):
        made_of(tmp_path, '[channel.x]\ntype = "apprise"\nurl = "json://x"')


def test_the_commands(
    yard: Yard, hook: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(evening(4).timestamp())))
    home = watch(yard, evening(4), Rule(channels=("hook",)))
    (home / "channels.toml").write_text(f'[channel.hook]\ntype = "webhook"\nurl = "{hook}"\n', encoding="utf-8")
    call = ["--home", str(home), "alerts"]
    assert run([*call, "list"]) == 0
    assert "hook: waits after 0 attempts: SIMULATED imagery. 2023-10-03" in capsys.readouterr().out
    _Hook.answers[:] = [500]
    assert run([*call, "send"]) == 1
    assert capsys.readouterr().err == "rail-watch: hook: 127.0.0.1 answered 500; it is tried again\n"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(evening(5).timestamp())))
    assert run([*call, "send"]) == 0
    assert run([*call, "test", "hook"]) == 0
    assert run([*call, "test", "gone"]) == 2
    assert len(_Hook.got) == 4 and one_line(" a\n b ") == "a b"
