"""Mail through a real server on loopback, by our own channel and by apprise; and a server that is dead for a while."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from watch_material import Yard, evening, night

from rail_watch.archive import archive_path, open_archive
from rail_watch.cli.main import run
from rail_watch.watch.channels import channels_of
from rail_watch.watch.outbox import Sent, send_all, teller
from rail_watch.watch.rules import Rule

pytest.importorskip("aiosmtpd", reason="aiosmtpd is not installed (the extra `dev`)")
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise loads it
TESTS = Path(__file__).resolve().parent


@contextmanager
def server(box: Path, port: int = 0, certificate: Path | str = "") -> Iterator[int]:
    """Run a mail server until the block is left; its port."""
    box.mkdir(exist_ok=True)
    command = [sys.executable, str(TESTS / "mail_server.py"), str(box), str(port), str(certificate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def taken(box: Path) -> list[EmailMessage]:
    return [
        message_from_bytes(path.read_bytes(), EmailMessage, policy=policy.default) for path in sorted(box.glob("*.eml"))
    ]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def mail(port: int, security: str = "none") -> str:
    return (
        f'[channel.desk]\ntype = "mail"\nhost = "127.0.0.1"\nport = {port}\nsecurity = "{security}"\nuser = "watch"\n'
        'password_env = "KEY"\nfrom = "watch@example.org"\nto = ["desk@example.org", "chief@example.org"]\n'
    )


def through_apprise(port: int) -> str:
    url = f"mailto://watch:planted@127.0.0.1:{port}?from=watch@example.org&to=desk@example.org&mode=insecure"
    return f'[channel.desk]\ntype = "apprise"\nurl = "{url}"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose archive has two alerts for the desk: a train came, and went."""
    yard, made = Yard(tmp_path), tmp_path / "home"
    for number, states in enumerate(("ee", "ee", "oe", "oe", "ee")):
        yard.add(number, states)
    watched = yard.write().watched(rules=(Rule(channels=("desk",)),))
    night(made, [watched], evening(4), tell=teller(made))
    return made


def sent(home: Path, text: str, at: datetime) -> Sent:
    (home / "channels.toml").write_text(text, encoding="utf-8")
    with open_archive(archive_path(home)) as archive:
        channels = channels_of(home, archive, clock=lambda: at, environment={"KEY": "planted"})
        return send_all(archive, channels, at)


def picture_of(made: EmailMessage) -> bytes:
    (part,) = [one for one in made.walk() if one.get_content_type() == "image/png"]
    return bytes(part.get_payload(decode=True))


def test_an_alert_goes_out_by_mail_with_its_picture(home: Path, tmp_path: Path) -> None:
    with server(tmp_path / "box") as port:
        assert sent(home, mail(port), evening(4)) == Sent(2, 0, ())
        assert sent(home, mail(port), evening(5)) == Sent(0, 0, ())
    came, went = taken(tmp_path / "box")
    assert (came["Subject"], went["Subject"]) == ("The yard: train arrived", "The yard: train departed")
    assert (came["From"], came["To"]) == ("watch@example.org", "desk@example.org, chief@example.org")
    body = came.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert text.startswith("SIMULATED imagery. 2023-10-03") and "cannot be told" in text
    assert picture_of(came) == next((home / "reports").rglob("overview.png")).read_bytes()


def test_an_alert_goes_out_through_apprise_with_its_picture(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="the extra `alerts` is not installed")
    with server(tmp_path / "box") as port:
        assert sent(home, through_apprise(port), evening(4)) == Sent(2, 0, ())
    came, went = taken(tmp_path / "box")
    assert (came["Subject"], went["Subject"]) == ("The yard: train arrived", "The yard: train departed")
    assert picture_of(came) == next((home / "reports").rglob("overview.png")).read_bytes()


@pytest.mark.parametrize("channel", [mail, through_apprise])
def test_a_dead_mail_server_is_asked_again_ever_later_and_gets_each_mail_once(
    home: Path, tmp_path: Path, channel: object
) -> None:
    if channel is through_apprise:
        pytest.importorskip("apprise", reason="the extra `alerts` is not installed")
    assert callable(channel)
    port, asked = unused_port(), []
    for minute in range(0, 40, 2):
        found = sent(home, channel(port), evening(4) + timedelta(minutes=minute))
        if found.failed:
            asked.append(minute)
            assert "planted" not in found.faults[0] and "it is tried again" in found.faults[0]
    # 5, 10 and 20 minutes after one another, of the first alert; the second waits behind it and takes its turns.
    with open_archive(archive_path(home)) as archive:
        attempts = [row["attempts"] for row in archive.rows("SELECT attempts FROM delivery ORDER BY alert")]
    assert len(asked) == sum(attempts) and max(attempts) == 4
    with server(tmp_path / "box", port):
        later = [sent(home, channel(port), evening(4) + timedelta(hours=hours)) for hours in (2, 3, 4)]
    assert [one.sent for one in later] == [2, 0, 0] and [one.failed for one in later] == [0, 0, 0]
    subjects = [str(one["Subject"]) for one in taken(tmp_path / "box")]
    assert sorted(subjects) == ["The yard: train arrived", "The yard: train departed"]


def test_a_wrong_password_is_one_line_that_does_not_tell_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY", "not-planted")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(evening(4).timestamp())))
    with server(tmp_path / "box") as port:
        (home / "channels.toml").write_text(mail(port), encoding="utf-8")
        assert run(["--home", str(home), "alerts", "send"]) == 1
    assert taken(tmp_path / "box") == []
    err = capsys.readouterr().err
    assert err == "rail-watch: desk: 127.0.0.1 did not take the mail (SMTPAuthenticationError); it is tried again\n"


def test_a_server_whose_certificate_nobody_vouches_for_gets_neither_mail_nor_password(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail.invalid"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(made), "-out", str(tmp_path / "cert.pem")]
    if shutil.which("openssl") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no openssl here that makes a certificate")
    with made.open("a") as stream:
        stream.write((tmp_path / "cert.pem").read_text())
    with server(tmp_path / "box", 0, made) as port:
        refused = sent(home, mail(port, "starttls"), evening(4))
        assert refused.sent == 0 and "SSLCertVerificationError" in refused.faults[0]
        assert taken(tmp_path / "box") == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert sent(home, mail(port, "starttls"), evening(5)).sent == 2
