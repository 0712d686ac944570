"""Teams that change while people decide: one comes before the other, and nothing runs past it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from django.db import close_old_connections, connection, transaction

from apps.accounts import services as accounts
from apps.accounts.domain.teams import TeamScope, TeamTerms
from apps.accounts.models import Membership, Team, User
from apps.accounts.services import people, teams
from apps.kernel.errors import NotPermittedError
from apps.oversight import services
from apps.oversight.domain.rules import ProposedVote
from apps.oversight.models import Approval
from apps.oversight.services.deciding import Sent, take
from tests.factories.accounts import TeamFactory, UserFactory
from tests.factories.approvals import ApprovalFactory, decide

pytestmark = pytest.mark.django_db(transaction=True)
BOUND = 1_000
WAITS_S = 0.4  # longer than any of this takes where nobody waits


class Shop:
    """One operator in one team that decides up to $10.00, and what waits for them."""

    def __init__(self) -> None:
        self.user = UserFactory.create(teams=[])
        self.admin = UserFactory.create(role="admin")
        self.team = TeamFactory.create(most_cents=BOUND)
        Membership.objects.create(team=self.team, user=self.user)
        self.approval = ApprovalFactory.create(amount_cents=BOUND)

    @property
    def terms(self) -> TeamTerms:
        scope = TeamScope(most_cents=BOUND - 1)
        return TeamTerms(self.team.name, scope, members=frozenset({self.user.pk}))

    def narrow(self) -> str:
        accounts.change_team(actor=self.admin, team_id=self.team.pk, seen=1, terms=self.terms)
        return "narrowed"

    def demote(self) -> str:
        accounts.change_role(actor=self.admin, user_id=self.user.pk, role="auditor")
        return "narrowed"

    def inside(self, name: str) -> Callable[[], Any]:
        """The same within a transaction that is held open: commands begin their own."""
        role = {"actor": self.admin, "user_id": self.user.pk, "role": "auditor"}
        return {
            "narrow": lambda: unwrapped(teams._write)(self.admin, self.team.pk, 1, self.terms),
            "demote": lambda: unwrapped(people.change_role)(**role),
            "vote": self._vote_inside,
        }[name]

    def _vote_inside(self) -> str:
        user = User.objects.get(pk=self.user.pk)
        answer = ProposedVote(user.pk, user.role, True, "Fare rules", self.approval.digest)
        take(self.approval.pk, user, answer, Sent("nonce-1", None, None))
        return Approval.objects.get(pk=self.approval.pk).state

    def vote(self) -> str:
        try:
            return decide(self.approval, User.objects.get(pk=self.user.pk)).state
        except NotPermittedError as refused:
            return refused.code

    def use(self) -> str:
        with transaction.atomic():
            return str(services.consume(self.approval.pk, self.approval.digest))


def unwrapped(command: Any) -> Callable[..., Any]:
    return command.__wrapped__  # type: ignore[no-any-return]


def apart(call: Callable[[], Any]) -> Callable[[], Any]:
    """The same on a connection of its own."""

    def run() -> Any:
        close_old_connections()
        try:
            return call()
        finally:
            connection.close()

    return run


def holding(first: Callable[[], Any], second: Callable[[], str]) -> tuple[Any, str, bool]:
    """What both gave, of which the second began while the first's transaction was open; and whether
    it was done before that ended."""
    has_begun, may_end = threading.Event(), threading.Event()

    def hold() -> Any:
        with transaction.atomic():
            found = first()
            has_begun.set()
            may_end.wait(30)
        return found

    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(apart(hold))
        held.add_done_callback(lambda _: has_begun.set())
        try:
            assert has_begun.wait(30), held.result(1)
            later = pool.submit(apart(second))
            wait([later], WAITS_S)
            was_early = later.done()
        finally:
            may_end.set()
        return held.result(30), later.result(30), was_early


@pytest.mark.parametrize("change", ["narrow", "demote"])
def test_a_bound_that_was_lowered_between_vote_and_use_lets_nothing_run(change: str) -> None:
    shop = Shop()
    assert shop.vote() == "approved"

    getattr(shop, change)()

    assert shop.use() == "False"
    assert Approval.objects.get(pk=shop.approval.pk).consumed_at is None


@pytest.mark.parametrize("change", ["narrow", "demote"])
def test_whoever_uses_an_answer_waits_for_a_change_that_is_under_way(change: str) -> None:
    shop = Shop()
    shop.vote()

    _, used, was_early = holding(shop.inside(change), shop.use)

    assert not was_early
    assert used == "False"


@pytest.mark.parametrize("change", ["narrow", "demote"])
def test_a_change_waits_for_whoever_uses_an_answer(change: str) -> None:
    shop = Shop()
    shop.vote()

    first, changed, was_early = holding(shop.use, getattr(shop, change))

    assert first == "True"
    assert not was_early
    assert changed == "narrowed"


@pytest.mark.parametrize("change", ["narrow", "demote"])
def test_a_vote_and_a_change_take_turns(change: str) -> None:
    shop = Shop()
    _, voted, was_early = holding(shop.inside(change), shop.vote)
    assert not was_early
    assert voted in {"team", "not_permitted"}

    shop = Shop()
    first, _, was_early = holding(shop.inside("vote"), getattr(shop, change))
    assert first == "approved"
    assert not was_early
    assert shop.use() == "False"


def test_at_once_in_any_order_nothing_is_used_after_the_change() -> None:
    for _ in range(8):
        shop = Shop()
        shop.vote()
        barrier = threading.Barrier(2)

        def at_once(call: Callable[[], str], barrier: threading.Barrier = barrier) -> str:
            barrier.wait()
            return call()

        with ThreadPoolExecutor(2) as pool:
            used = pool.submit(apart(lambda: at_once(shop.use)))  # noqa: B023  # of this round
            pool.submit(apart(lambda: at_once(shop.narrow))).result()  # noqa: B023
            after = shop.use()

        assert after == "False"
        consumed = Approval.objects.get(pk=shop.approval.pk).consumed_at
        assert (used.result() == "True") == (consumed is not None)
        assert Team.objects.get(pk=shop.team.pk).most_cents == BOUND - 1
