"""Events reach their subscribers: in order, at least once, each apart from the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connection, connections
from django.utils.module_loading import import_string

from apps.audit import registry, selectors, services
from apps.audit.domain.actors import Actor
from apps.audit.domain.subscriber import MOST_PAUSE_S, MOST_TRIES, Subscriber, pause_s
from apps.audit.models import DeadLetter, Event, Subscription
from apps.kernel.errors import ConflictError, NotFoundError
from apps.kernel.transactions import command
from tests.audit import subscribing
from tests.audit.subscribing import HEARD, REFUSED, subscriber

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_heard() -> Iterator[None]:
    HEARD.clear()
    REFUSED.clear()
    yield
    HEARD.clear()
    REFUSED.clear()


@pytest.fixture
def heard_table() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE tests_heard (id bigserial, subject text)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE tests_heard")


def happen(*subjects: str, kind: str = "flow.ran") -> None:
    facts = [services.Fact(kind, Actor.user("tests"), "thing", subject) for subject in subjects]
    command(services.record_many)(facts)
    services.seal()


def begin(*subscribers: Subscriber) -> None:
    for one in subscribers:
        assert services.deliver(one) == services.Delivery()


def written() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT subject FROM tests_heard ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def soon() -> None:
    """The pause before the next try is over."""
    Subscription.objects.update(next_try_at=None)


def test_a_subscriber_hears_what_happens_from_its_beginning_on_in_order() -> None:
    one = subscriber("tests.one")
    happen("before")
    begin(one)
    happen("a", "b")
    happen("c", kind="other.ran")
    happen("d")

    done = services.deliver(one)

    assert [subject for subject, _ in HEARD] == ["a", "b", "d"]
    positions = [position for _, position in HEARD]
    assert positions == sorted(positions)
    assert (done.delivered, done.is_behind, done.error) == (3, False, "")
    assert services.deliver(one) == services.Delivery()
    row = Subscription.objects.get()
    assert row.position == Event.objects.order_by("position").last().position
    assert (row.delivered, row.tries) == (3, 0)


def test_what_is_not_sealed_is_not_delivered() -> None:
    one = subscriber("tests.one")
    begin(one)
    command(services.record_many)([services.Fact("flow.ran", Actor.user("t"), "thing", "a")])

    services.deliver(one)
    assert HEARD == []
    services.seal()
    services.deliver(one)
    assert [subject for subject, _ in HEARD] == ["a"]


def test_batches_and_stretches_of_no_interest_are_gone_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apps.audit.services.delivering.SPAN", 4)
    one = subscriber("tests.one", kinds=("flow.b", "flow.c"))
    begin(one)
    happen(*"123456789", kind="flow.a")
    happen("x", kind="flow.b")
    happen(*"123", kind="flow.a")
    happen("y", kind="flow.c")

    with registry.also(one):
        assert services.deliver_all() == 2

    assert [subject for subject, _ in HEARD] == ["x", "y"]


def test_one_event_that_is_refused_is_found_waited_for_and_then_gone_past() -> None:
    one, other = subscriber("tests.one"), subscriber("tests.other", "write")
    REFUSED.add("c")
    begin(one)
    happen("a", "b", "c", "d")

    done = services.deliver(one)

    assert [subject for subject, _ in HEARD] == ["a", "b"]
    assert done.error.startswith("ValueError: no c")
    row = Subscription.objects.get()
    assert (row.tries, row.error) == (1, "ValueError: no c�")
    assert services.deliver(one) == services.Delivery(), "it pauses before it tries again"

    for _ in range(MOST_TRIES - 1):
        soon()
        services.deliver(one)

    letter = DeadLetter.objects.get()
    assert (letter.event.subject_id, letter.tries) == ("c", MOST_TRIES)
    services.deliver(one)
    assert [subject for subject, _ in HEARD] == ["a", "b", "d"]
    assert Subscription.objects.get().tries == 0
    assert other.name not in {row.name for row in Subscription.objects.all()}


def test_one_that_is_mended_in_time_leaves_no_dead_letter() -> None:
    one = subscriber("tests.one")
    REFUSED.add("a")
    begin(one)
    happen("a", "b")
    services.deliver(one)

    REFUSED.clear()
    soon()
    services.deliver(one)

    assert [subject for subject, _ in HEARD] == ["a", "b"]
    assert not DeadLetter.objects.exists()


def test_a_subscriber_that_always_fails_keeps_nobody_waiting() -> None:
    bad, good = subscriber("tests.bad", "refuse"), subscriber("tests.good")
    begin(bad, good)
    happen(*"abcd")

    with registry.also(bad, good):
        services.deliver_all()

    assert [subject for subject, _ in HEARD] == [*"abcd"]
    rows = {row.name: row for row in selectors.subscriptions()}
    assert (rows["tests.bad"].standing, rows["tests.bad"].behind) == ("abandoned", 4)
    with registry.also(bad, good):
        rows = {row.name: row for row in selectors.subscriptions()}
    assert (rows["tests.bad"].standing, rows["tests.good"].standing) == ("fails", "well")
    assert (rows["tests.good"].lag_s, rows["tests.bad"].lag_s > 0) == (0.0, True)


@pytest.mark.usefixtures("heard_table")
def test_what_a_handler_writes_is_written_with_the_place_or_not_at_all() -> None:
    one = subscriber("tests.one", "write")
    REFUSED.add("c")
    begin(one)
    happen("a", "b", "c", "d")
    services.deliver(one)
    assert written() == ["a", "b"], "what was written before the refusal is taken back with it"

    REFUSED.clear()
    soon()
    services.deliver(one)
    assert written() == ["a", "b", "c", "d"]


@pytest.mark.usefixtures("heard_table")
def test_of_many_who_deliver_at_once_each_event_is_written_once() -> None:
    one = subscriber("tests.one", "write")
    begin(one)
    happen(*map(str, range(200)))
    head = selectors.chain_head().position
    start = threading.Barrier(6)

    def work() -> None:
        start.wait()
        while Subscription.objects.get().position < head:
            services.deliver(one, limit=7)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert written() == [str(n) for n in range(200)]


def test_an_event_that_nobody_can_read_is_a_dead_letter_and_the_next_is_delivered() -> None:
    one = subscriber("tests.one")
    begin(one)
    deep = '{"v": ' + "[" * 3000 + "1" + "]" * 3000 + "}"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_event (at, kind, actor, subject_type, subject_id, payload, hash)"
            " VALUES (now(), 'flow.deep', 'x', 'x', '1', %s, '')",
            [deep],
        )
    services.seal()
    happen("b")

    for _ in range(MOST_TRIES + 1):
        services.deliver(one)
        soon()

    assert [subject for subject, _ in HEARD] == ["b"]
    assert DeadLetter.objects.count() == 1


def test_a_dead_letter_is_delivered_again_once_and_that_is_written_down() -> None:
    one = subscriber("tests.one")
    REFUSED.add("a")
    begin(one)
    happen("a")
    for _ in range(MOST_TRIES):
        services.deliver(one)
        soon()
    letter = DeadLetter.objects.get()

    with pytest.raises(ConflictError, match="Nobody is subscribed"):
        services.deliver_again(letter.pk, actor=Actor.user("ida"))
    with registry.also(one):
        with pytest.raises(ConflictError, match="failed again: ValueError: no a"):
            services.deliver_again(letter.pk, actor=Actor.user("ida"))
        REFUSED.clear()
        services.deliver_again(letter.pk, actor=Actor.user("ida"))
        with pytest.raises(ConflictError, match="meanwhile"):
            services.deliver_again(letter.pk, actor=Actor.user("ida"))
    with pytest.raises(NotFoundError):
        services.deliver_again(letter.pk + 1, actor=Actor.user("ida"))

    assert [subject for subject, _ in HEARD] == ["a"]
    assert selectors.dead_letters() == ([], None)
    assert Event.objects.get(kind="subscription.delivered_again").actor == "user:ida"


def test_a_hint_is_given_at_once_and_its_failure_is_left_to_the_delivery() -> None:
    one = Subscriber("tests.hint", "x", ("flow.",), f"{subscribing.__name__}.hear", hint=True)
    begin(one)
    with registry.also(one):
        command(services.record_many)([services.Fact("flow.ran", Actor.user("t"), "thing", "a")])
        assert HEARD == [("a", 0)]
        REFUSED.add("b")
        command(services.record_many)([services.Fact("flow.ran", Actor.user("t"), "thing", "b")])
        REFUSED.clear()
        services.seal()
        services.deliver_all()

    assert [subject for subject, _ in HEARD] == ["a", "a", "b"]


def test_two_subscribers_of_one_name_are_refused() -> None:
    with registry.also(subscriber("tests.one")), pytest.raises(ValueError, match="two"):
        registry.subscribe(subscriber("tests.one", "write"))


def test_pauses_grow_up_to_a_bound() -> None:
    assert [pause_s(n) for n in (1, 2, 3, 30)] == [1.0, 2.0, 4.0, MOST_PAUSE_S]


def test_every_subscriber_of_the_product_can_be_called() -> None:
    for one in registry.subscribers():
        assert callable(import_string(one.handler))
        assert one.words
