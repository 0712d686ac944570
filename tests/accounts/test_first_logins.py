"""The log-ins of a new tower."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from django.core.management import call_command

from apps.accounts.models import User

pytestmark = pytest.mark.django_db


def test_one_log_in_a_role_with_passwords_in_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "var" / "passwords.txt"

    call_command("tower_users", passwords_file=file)

    lines = [line.split() for line in file.read_text().splitlines()]
    assert [(role, name) for role, name, _ in lines] == [
        ("operator", "operator"),
        ("operator", "operator2"),
        ("product_manager", "pm"),
        ("admin", "admin"),
        ("admin", "admin2"),
        ("admin", "admin3"),
        ("auditor", "auditor"),
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len({password for _, _, password in lines}) == 7
    assert all(re.fullmatch(r"[\w-]{20,}", password) for _, _, password in lines)
    for _, name, password in lines[:1]:
        assert User.objects.get(username=name).check_password(password)


def test_a_second_time_touches_nobody(tmp_path: Path) -> None:
    file = tmp_path / "passwords.txt"
    call_command("tower_users", passwords_file=file)
    before = file.read_text(), dict(User.objects.values_list("username", "password"))
    User.objects.get(username="auditor").delete()

    call_command("tower_users", passwords_file=file)

    added = file.read_text().removeprefix(before[0])
    after = dict(User.objects.values_list("username", "password"))
    assert added.split()[:2] == ["auditor", "auditor"]
    assert {n: p for n, p in after.items() if n != "auditor"} == {
        n: p for n, p in before[1].items() if n != "auditor"
    }


def test_without_a_file_nobody_is_made(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")

    with pytest.raises(FileExistsError):
        call_command("tower_users", passwords_file=blocked / "passwords.txt")

    assert User.objects.count() == 0
