"""Bells: an invitation to drain a lane, and nothing else.

Two of them are rung at once. One wakes a drain that lingers: a short list in Redis that it waits
on. The other is an RQ entry, for the workers that have none: it carries the lane's name only, is
JSON, has no retry and no schedule. Either may be lost or doubled: a lingering drain looks for
itself now and then, the sweep rings again, and a step can be leased once only.
"""

from __future__ import annotations

import logging
from functools import cache

import django_rq
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq.queue import Queue
from rq.serializers import JSONSerializer

from apps.runs.domain.bells import bell_of

logger = logging.getLogger(__name__)
TASK = "apps.runs.tasks.drain"
BELL_KEPT_S = 60  # a bell that nobody heard is of no use for long
REDIS_WAIT_S = 1.0  # what a request may lose to a Redis that doesn't answer


def ring(lane: str) -> bool:
    """Invite a worker to drain ``lane``, unless enough invitations lie there already. Never raises:
    while Redis is away, work waits in the database."""
    try:
        queue = _queue(lane)
        if _wake(queue, lane) < settings.BELLS_PER_LANE:
            queue.enqueue(TASK, lane, result_ttl=0, failure_ttl=3600, job_timeout=-1)
    except RedisError as error:
        logger.warning("the bell of lane %s could not be rung: %s", lane, error)
        return False
    return True


def _wake(queue: Queue, lane: str) -> int:
    """Wake one lingering drain. Returns how many RQ entries lie there."""
    with queue.connection.pipeline(transaction=False) as pipe:
        pipe.lpush(bell_of(lane), 1)
        pipe.ltrim(bell_of(lane), 0, settings.BELLS_PER_LANE - 1)
        pipe.expire(bell_of(lane), BELL_KEPT_S)
        pipe.llen(queue.key)
        return int(pipe.execute()[-1])


def _queue(lane: str) -> Queue:
    client = _client(settings.RQ_QUEUES[lane]["URL"])
    return django_rq.get_queue(lane, connection=client, serializer=JSONSerializer)


@cache
def _client(url: str) -> redis.Redis:
    """One pool of connections a process: a new one with each bell costs more than the bell. A
    connection that broke while it lay there is replaced at once; nobody waits for a dead Redis."""
    return redis.Redis.from_url(
        url,
        socket_timeout=REDIS_WAIT_S,
        socket_connect_timeout=REDIS_WAIT_S,
        retry=Retry(NoBackoff(), 1),
    )
