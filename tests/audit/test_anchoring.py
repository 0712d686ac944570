"""Checkpoints go where the attacker isn't: a folder of somebody else's, a time-stamp authority."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from apps.audit.adapters import files, stamps
from apps.audit.adapters.files import CheckpointFileError
from apps.audit.adapters.stamps import StampError
from apps.audit.domain.checkpoint import SignedHead, read
from apps.audit.models import Event, Verification
from apps.audit.services import anchoring, checkpointing, seal, signing, verifying
from tests.audit.test_verifying import change, happen, restamp

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = """
[tsa]
default_tsa = own
[own]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha512
ess_cert_id_alg = sha256
"""


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.APPROVAL_KEY_FILE = str(tmp_path / "key")
    settings.APPROVAL_KEYRING_FILE = str(tmp_path / "ring")
    settings.AUDIT_CHECKPOINTS = str(tmp_path / "checkpoints")
    monkeypatch.setattr(checkpointing, "is_due", lambda counted, since, count, now: count > counted)
    return tmp_path


def log(count: int) -> None:
    happen(count)
    assert checkpointing.checkpoint() == 1


class Authority:
    """A time-stamp authority (openssl ts) on this machine; ``twist`` changes what it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, 0
        self.twist: Any = None
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        self._certificates()

    def _certificates(self) -> None:
        root_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        root = self._certificate("root", root_key, "root", root_key, is_root=True)
        signer = self._certificate("tsa", key, "root", root_key, is_root=False)
        pem = serialization.Encoding.PEM
        (self.folder / "root.pem").write_bytes(root.public_bytes(pem))
        (self.folder / "tsa.pem").write_bytes(signer.public_bytes(pem))
        (self.folder / "tsa.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )

    def _certificate(
        self, name: str, key: Any, issuer: str, by: Any, *, is_root: bool
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        named = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (name, issuer)]
        made = (
            x509.CertificateBuilder()
            .subject_name(named[0])
            .issuer_name(named[1])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False
            )
        )
        if not is_root:
            use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            made = made.add_extension(use, critical=True)
        return made.sign(by, hashes.SHA256())

    def reply(self, query: bytes) -> bytes:
        self.asked += 1
        (self.folder / "q").write_bytes(query)
        words = ["openssl", "ts", "-reply", "-config", str(self.folder / "tsa.cnf")]
        words += ["-queryfile", str(self.folder / "q"), "-signer", str(self.folder / "tsa.pem")]
        words += ["-inkey", str(self.folder / "tsa.key"), "-out", str(self.folder / "r")]
        subprocess.run(words, check=True, capture_output=True)
        return (self.folder / "r").read_bytes()


@pytest.fixture
def authority(tmp_path: Path, settings: Any) -> Iterator[Authority]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine, which plays the authority")
    folder = tmp_path / "authority"
    folder.mkdir()
    found = Authority(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            status, kind, body = 200, "application/timestamp-reply", b""
            if found.twist:
                status, kind, body = found.twist(query)
            else:
                body = found.reply(query)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.AUDIT_TSA = f"http://127.0.0.1:{server.server_port}/"
    settings.AUDIT_TSA_ROOTS = str(folder / "root.pem")
    yield found
    server.shutdown()
    server.server_close()


def full() -> Verification:
    row = verifying.ask_for_all(verifying.SWEEPER)
    while row.ended_at is None:
        verifying.go_on(row, budget_s=1)
        row.refresh_from_db()
    return row


def test_nothing_is_done_where_nothing_is_configured() -> None:
    log(2)

    assert (anchoring.ship(), anchoring.stamp()) == (0, 0)


def test_checkpoints_are_shipped_once_each(settings: Any, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    settings.AUDIT_SHIP_TO = str(folder)
    assert anchoring.ship() == 0
    log(2)
    log(1)

    assert (anchoring.ship(), anchoring.ship()) == (2, 0)
    log(4)
    assert anchoring.ship() == 1

    files = sorted(folder.iterdir())
    counts = [[read(line).count for line in file.read_text().splitlines()] for file in files]
    assert counts == [[2, 3], [7]]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o444}
    assert all(signing.is_signed(read(x)) for f in files for x in f.read_text().splitlines())


def test_a_folder_that_cannot_be_written_is_named_and_nothing_half_is_left(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(2)
    settings.AUDIT_SHIP_TO = str(tmp_path / "nowhere")
    with pytest.raises(CheckpointFileError, match=f"shipped to {tmp_path}/nowhere"):
        anchoring.ship()

    (tmp_path / "nowhere").mkdir()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full_disk)
        with pytest.raises(CheckpointFileError, match="No space left"):
            anchoring.ship()
    assert list((tmp_path / "nowhere").iterdir()) == []
    assert anchoring.ship() == 1


def test_a_folder_that_knows_of_more_events_than_there_are_is_an_alarm_and_no_silence(
    settings: Any, tmp_path: Path
) -> None:
    """The log was restored, or somebody put a name there that no checkpoint ever reaches."""
    settings.AUDIT_SHIP_TO = str(tmp_path / "theirs")
    Path(settings.AUDIT_SHIP_TO).mkdir()
    log(2)
    Path(settings.AUDIT_SHIP_TO, f"checkpoints-to-{10**20 - 1}.jsonl").touch()

    with pytest.raises(CheckpointFileError, match="and the log has 2: it was cut, or restored"):
        anchoring.ship()


def test_a_file_that_only_its_owner_moves_is_said(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints"
    file.touch()

    with pytest.raises(CheckpointFileError, match=r"can't be put aside .* have its owner move it"):
        files.put_aside(str(file), str(tmp_path / "nowhere" / "aside"))


def test_a_line_that_is_no_stamp_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "stamps"
    head = {"head": "a" * 64, "at": NOW.isoformat(), "stamp": ""}
    odd = [
        {"count": 1e999},
        {"count": 2, "at": "0001-01-01T00:00:00+14:00"},
        {"count": 2, "head": 1},
    ]
    file.write_text("".join(f"{json.dumps(head | one)}\n" for one in [*odd, {"count": 2}]) + "[]\n")

    assert [one.mark.count for one in stamps.kept(str(file))] == [2]


def test_the_last_checkpoint_is_stamped_and_the_stamp_kept(
    authority: Authority, settings: Any, tmp_path: Path
) -> None:
    log(2)
    log(3)

    assert (anchoring.stamp(), anchoring.stamp(), authority.asked) == (1, 0, 1)

    [kept] = stamps.kept(anchoring.file_of_stamps())
    assert kept.mark.count == 5
    assert abs(stamps.time_of(kept) - datetime.now(UTC)) < timedelta(minutes=5)
    assert full().notes == []

    settings.AUDIT_SHIP_TO = str(tmp_path / "theirs")
    Path(settings.AUDIT_SHIP_TO).mkdir()
    anchoring.ship()
    [file] = Path(settings.AUDIT_SHIP_TO).iterdir()
    assert "stamp" in json.loads(file.read_text().splitlines()[-1])


def test_a_stamp_of_other_data_is_refused(authority: Authority, settings: Any) -> None:
    """As valid as any, signed by the right authority; only not of this."""
    log(2)
    other = stamps.ask(settings.AUDIT_TSA, settings.AUDIT_TSA_ROOTS, SignedHead(2, "f" * 64, NOW))
    authority.twist = lambda query: (200, "application/timestamp-reply", other.reply)
    with pytest.raises(StampError, match="can't be used: "):
        anchoring.stamp()
    assert list(stamps.kept(anchoring.file_of_stamps())) == []

    # Somebody puts it into the file under the checkpoint's name.
    mark = read(Path(settings.AUDIT_CHECKPOINTS).read_text().splitlines()[-1])
    stamps.keep(anchoring.file_of_stamps(), stamps.Stamp(mark, other.reply))
    row = full()
    assert (row.problem, len(row.notes)) == ("", 1)
    assert "The time stamp of 2 events proves nothing: Mismatch" in row.notes[0]


def test_a_stamp_of_very_many_events_that_proves_nothing_ends_no_stamping(
    authority: Authority,
) -> None:
    log(2)
    assert anchoring.stamp() == 1
    stamps.keep(
        anchoring.file_of_stamps(), stamps.Stamp(SignedHead(2**63 - 1, "f" * 64, NOW), b"x")
    )

    assert anchoring.stamp() == 0  # that of these two events still counts
    log(3)
    assert (anchoring.stamp(), authority.asked) == (1, 2)


def test_an_authority_that_nobody_trusts_is_refused(
    authority: Authority, settings: Any, tmp_path: Path
) -> None:
    log(2)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    Authority(stranger)
    settings.AUDIT_TSA_ROOTS = str(stranger / "root.pem")

    with pytest.raises(StampError, match="can't be used"):
        anchoring.stamp()


def test_a_stamp_shows_a_rewritten_log_though_all_checkpoints_are_the_attacker_s(
    authority: Authority, settings: Any, place: Path
) -> None:
    log(5)
    anchoring.stamp()
    change("UPDATE audit_event SET actor = 'user:eve' WHERE position = 2")
    restamp(1)
    change("ALTER TABLE audit_checkpoint DISABLE TRIGGER USER")
    change("DELETE FROM audit_checkpoint")
    change("ALTER TABLE audit_checkpoint ENABLE TRIGGER USER")
    Path(settings.AUDIT_CHECKPOINTS).unlink()
    checkpointing.checkpoint()  # with the stolen key

    row = full()

    assert row.broken_at == 5
    assert "isn't the event that was there" in row.problem


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((500, "text/plain", b""), "answers 500"),
        ((302, "text/plain", b""), "answers 302"),
        ((200, "text/html", b"<p>"), r"answers 200 \(text/html\)"),
        ((200, "application/timestamp-reply", b"x"), "can't be used"),
        ((200, "application/timestamp-reply", b"x" * 100_000), "more than 65,536 bytes"),
    ],
)
def test_an_authority_that_answers_something_else_is_said(
    authority: Authority, answer: tuple[int, str, bytes], why: str
) -> None:
    log(2)
    authority.twist = lambda query: answer

    with pytest.raises(StampError, match=why):
        anchoring.stamp()


def test_an_authority_that_is_away_is_said(settings: Any, place: Path) -> None:
    log(2)
    settings.AUDIT_TSA, settings.AUDIT_TSA_ROOTS = "http://127.0.0.1:1/", str(place / "none")

    with pytest.raises(StampError, match=r"http://127\.0\.0\.1:1/ can't be asked"):
        anchoring.stamp()
    assert Event.objects.count() == 2
    seal()
