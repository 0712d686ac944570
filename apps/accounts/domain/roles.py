"""Roles and what each allows: the one table that every view, page and test reads."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    OPERATOR = "operator"
    PRODUCT_MANAGER = "product_manager"
    ADMIN = "admin"
    AUDITOR = "auditor"


class Permission(StrEnum):
    TOWER_VIEW = "tower.view"
    APPROVALS_VIEW = "approvals.view"
    APPROVALS_DECIDE = "approvals.decide"
    RUNS_VIEW = "runs.view"
    RUNS_CONTROL = "runs.control"
    RUNS_RECONCILE = "runs.reconcile"
    WORKERS_CONTROL = "workers.control"
    RUNS_FORK = "runs.fork"
    RUNS_UNDO = "runs.undo"
    OUTCOMES_VIEW = "outcomes.view"
    CATALOG_VIEW = "catalog.view"
    CATALOG_EDIT = "catalog.edit"
    POLICY_VIEW = "policy.view"
    POLICY_EDIT = "policy.edit"
    AUDIT_VIEW = "audit.view"
    USERS_MANAGE = "users.manage"
    DESK_CONTROL = "desk.control"
    LOAD_CONTROL = "load.control"
    STOPS_PLACE = "stops.place"
    STOPS_LIFT_ALL = "stops.lift_all"


_EVERYONE = frozenset(Role)

ALLOWED: dict[Permission, frozenset[Role]] = {
    Permission.TOWER_VIEW: _EVERYONE,
    Permission.APPROVALS_VIEW: _EVERYONE,
    Permission.APPROVALS_DECIDE: frozenset({Role.OPERATOR}),
    Permission.RUNS_VIEW: _EVERYONE,
    Permission.RUNS_CONTROL: frozenset({Role.OPERATOR, Role.ADMIN}),
    Permission.RUNS_RECONCILE: frozenset({Role.OPERATOR}),
    Permission.WORKERS_CONTROL: frozenset({Role.ADMIN}),
    Permission.RUNS_FORK: frozenset({Role.OPERATOR, Role.ADMIN}),
    Permission.RUNS_UNDO: frozenset({Role.OPERATOR}),
    Permission.OUTCOMES_VIEW: _EVERYONE,
    Permission.CATALOG_VIEW: _EVERYONE,
    Permission.CATALOG_EDIT: frozenset({Role.ADMIN}),
    Permission.POLICY_VIEW: _EVERYONE,
    Permission.POLICY_EDIT: frozenset({Role.ADMIN}),
    Permission.AUDIT_VIEW: frozenset({Role.ADMIN, Role.AUDITOR}),
    Permission.USERS_MANAGE: frozenset({Role.ADMIN}),
    Permission.DESK_CONTROL: frozenset({Role.OPERATOR, Role.ADMIN}),
    Permission.LOAD_CONTROL: frozenset({Role.ADMIN}),
    Permission.STOPS_PLACE: frozenset({Role.OPERATOR, Role.ADMIN}),
    Permission.STOPS_LIFT_ALL: frozenset({Role.ADMIN}),
}


def allows(role: str, permission: Permission) -> bool:
    """Whether a person of ``role`` may use ``permission``. An unknown role may do nothing."""
    return role in {str(r) for r in ALLOWED[permission]}


def who_may(permission: Permission) -> str:
    """The roles that ``permission`` is open to, as words."""
    return ", ".join(r.value.replace("_", " ") for r in Role if r in ALLOWED[permission])
