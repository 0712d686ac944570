"""Roles, and what an app lets people of some roles do. Each app names its own permissions when it
is ready (``apps.accounts.registry``)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    OPERATOR = "operator"
    PRODUCT_MANAGER = "product_manager"
    ADMIN = "admin"
    AUDITOR = "auditor"


EVERYONE = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Permission:
    """``name`` says what may be done ("runs.control"), ``roles`` who may do it. One whose name ends
    in ``.view`` lets people read; any other lets them act, which not every account can yet."""

    name: str
    roles: frozenset[Role]

    @property
    def acts(self) -> bool:
        return not self.name.endswith(".view")
