"""What people read when they start, stop and examine the tower."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from controltower.launch import doctor, files, ports
from controltower.launch.places import ROOT, Lock, Places


def launch(*arguments: str, var: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "REDIS_URL"}
    }
    return subprocess.run(
        [sys.executable, "-m", "controltower.launch", *arguments],
        cwd=ROOT,
        env={**inherited, "TOWER_VAR": str(var), **environment},
        input="",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_second_up_says_where_the_first_one_is(var: Path) -> None:
    places = Places(var)
    lock = Lock(places)
    assert lock.acquire()
    files.write_json(places.state, {"pid": 4711, "url": "http://127.0.0.1:8042"})

    done = launch("up", var=var)
    lock.release()

    assert done.returncode == 0
    assert "already runs: http://127.0.0.1:8042 (process 4711)" in one_line(done.stdout)
    assert not places.postgres.exists()


def test_unreachable_database_names_the_variable_and_hides_the_password(var: Path) -> None:
    url = f"postgres://tower:very-secret@127.0.0.1:{ports.any_free()}/tower"

    done = launch("up", var=var, DATABASE_URL=url)

    assert done.returncode == 1
    assert "DATABASE_URL names 127.0.0.1:" in one_line(done.stdout)
    assert "very-secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (var / "postgres").exists()


def test_unreachable_redis_names_the_variable(var: Path) -> None:
    redis_url = f"redis://:very-secret@127.0.0.1:{ports.any_free()}/0"

    done = launch("up", var=var, DATABASE_URL=os.environ["DATABASE_URL"], REDIS_URL=redis_url)

    assert done.returncode == 1
    assert "REDIS_URL names 127.0.0.1:" in one_line(done.stdout)
    assert "very-secret" not in done.stdout + done.stderr
    assert not (var / "valkey").exists()


def test_down_without_a_tower_is_fine(var: Path) -> None:
    done = launch("down", var=var)

    assert (done.returncode, one_line(done.stdout)) == (0, "✓ Control Tower does not run.")


def test_reset_asks_and_takes_silence_for_no(var: Path) -> None:
    (var / "logins.txt").write_text("operator secret")

    asked = launch("reset", var=var)
    kept = (var / "logins.txt").exists()
    told = launch("reset", "--yes", var=var)

    assert (asked.returncode, kept, told.returncode) == (1, True, 0)
    assert not (var / "logins.txt").exists()


def test_reset_leaves_files_of_others_alone(var: Path) -> None:
    (var / "thesis.txt").write_text("mine")

    launch("reset", "--yes", var=var)

    assert (var / "thesis.txt").read_text() == "mine"


def test_doctor_names_what_is_wrong_and_how_to_mend_it(var: Path) -> None:
    (var / "secret.key").write_text("open")
    (var / "secret.key").chmod(0o644)

    done = launch("doctor", var=var)

    assert done.returncode == 1
    assert "secret.key can be read by others" in one_line(done.stdout)
    assert "chmod 600" in one_line(done.stdout)
    assert "✗ Tower: does not run → `make up` starts it" in one_line(done.stdout)


@pytest.mark.parametrize(
    ("name", "kill_mode"),
    [("web", "control-group"), ("worker@", "mixed"), ("sweeper", "control-group")],
)
def test_units_keep_to_what_the_page_promises(name: str, kill_mode: str) -> None:
    unit = (ROOT / "deploy" / "systemd" / f"tower-{name}.service").read_text()

    promised = ("NoNewPrivileges=yes", f"KillMode={kill_mode}", "EnvironmentFile=", "Restart=")

    assert [line for line in promised if line not in unit] == []


SHUT_OFF = (
    "User=tower",
    "Group=tower",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ReadWritePaths=/var/lib/controltower",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectControlGroups=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallFilter=@system-service",
)


def test_every_unit_has_a_user_of_its_own_that_gains_no_rights() -> None:
    units = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
    assert len(units) == 3
    for unit in units:
        lines = unit.read_text().splitlines()
        assert [line for line in SHUT_OFF if line not in lines] == [], unit.name
        assert sum(line.startswith("ReadWritePaths=") for line in lines) == 1
        assert not [line for line in lines if line.startswith(("Ambient", "ExecStartPre=+"))]
        mask = next(line for line in lines if line.startswith("UMask="))
        assert mask.endswith("7"), f"{unit.name}: nothing is for everybody"


def test_a_look_of_the_doctor_that_fails_hides_no_other(var: Path) -> None:
    """The launcher's own notes are broken, and somebody holds the tower."""
    places = Places(var)
    places.run.mkdir(parents=True)
    for path in (places.state, places.environment):
        path.write_text("{broken")
    places.status.write_text('{"services": [{"name": "web"}, 3]}')
    with (places.run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = list(doctor.findings(places))

    subjects = [f.subject for f in found]
    assert subjects[:3] == ["Python", "Packages", "Disk"]
    assert subjects.count("Process") == 2
    assert subjects[-1] == "Site"
    assert all("could not be looked at" in f.detail for f in found if f.subject == "Process")
