"""The permissions, the navigation and the notices above every page of this installation: each app
names its own when it is ready."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.module_loading import import_string

from apps.accounts.domain.navigation import NavigationEntry
from apps.accounts.domain.roles import Permission, Role

_permissions: dict[str, Permission] = {}
_entries: dict[str, NavigationEntry] = {}
_notices: list[str] = []
_jobs: list[str] = []
_with_views: dict[str, str] = {}
_domains: list[str] = []


def add_permissions(*some: Permission) -> None:
    """Have views and services ask for these from now on. Raises ``ValueError`` if another one has
    the name of one."""
    for one in some:
        if _permissions.setdefault(one.name, one) != one:
            raise ValueError(f"there are two permissions named {one.name!r}")


def permissions() -> tuple[Permission, ...]:
    """All of them, by name."""
    return tuple(_permissions[name] for name in sorted(_permissions))


def permission(name: str) -> Permission:
    """The one of this name. Raises ``ValueError`` for a name that no app knows."""
    try:
        return _permissions[name]
    except KeyError:
        raise ValueError(f"there is no permission named {name!r}") from None


def allows(role: str, name: str) -> bool:
    """Whether a person of ``role`` may do what the permission says. An unknown role may do
    nothing."""
    return role in {str(r) for r in permission(name).roles}


def who_may(name: str) -> str:
    """The roles that a permission is open to, as words."""
    roles = permission(name).roles
    return ", ".join(r.value.replace("_", " ") for r in Role if r in roles)


def add_entries(*some: NavigationEntry) -> None:
    """Have the navigation lead there from now on. Raises ``ValueError`` if another entry has the
    address, the key or the place of one."""
    for one in some:
        for other in _entries.values():
            same = {one.name: other.name, one.key: other.key, one.place: other.place}
            if one != other and any(mine == theirs for mine, theirs in same.items()):
                raise ValueError(f"{one.label!r} and {other.label!r} share address, key or place")
        _entries[one.name] = one


def entries() -> list[NavigationEntry]:
    """All of them, in their order."""
    return sorted(_entries.values(), key=lambda entry: entry.place)


def add_jobs(path: str) -> None:
    """Have tokens choose among these jobs too. ``path`` leads to a function that gives (name, words
    for people) of each; it is looked up when it is asked."""
    if path not in _jobs:
        _jobs.append(path)


def jobs() -> list[tuple[str, str]]:
    """What tokens can be for, by name."""
    return sorted(job for path in _jobs for job in import_string(path)())


def add_domains(path: str) -> None:
    """Have teams choose among these domains too; ``path`` leads to what ``add_jobs`` takes."""
    if path not in _domains:
        _domains.append(path)


def domains() -> list[tuple[str, str]]:
    """What teams can decide, by name."""
    return sorted(one for path in _domains for one in import_string(path)())


def add_notices(*templates: str) -> None:
    """Have every page show these above its content from now on, in the order they were named."""
    _notices.extend(one for one in templates if one not in _notices)


def notices() -> tuple[str, ...]:
    """The templates of what stands above every page."""
    return tuple(_notices)


def add_pages_with_views(permissions: Mapping[str, str]) -> None:
    """Have people save views of these pages: the name of its address, and the permission that opens
    it."""
    _with_views.update(permissions)


def page_with_views(page: str) -> str | None:
    """The permission that opens a page of which people save views; ``None`` for any other."""
    return _with_views.get(page)
