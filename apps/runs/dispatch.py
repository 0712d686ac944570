"""Bells: an RQ entry is an invitation to drain a lane, and nothing else.

Entries carry the lane's name only, are JSON, have no retry and no schedule. They may be lost or
doubled: the sweep rings again, and a step can be leased once only.
"""

from __future__ import annotations

import logging

import django_rq
from django.conf import settings
from redis.exceptions import RedisError
from rq.serializers import JSONSerializer

logger = logging.getLogger(__name__)
TASK = "apps.runs.tasks.drain"


def ring(lane: str) -> bool:
    """Invite a worker to drain ``lane``, unless enough invitations lie there already. Never raises:
    while Redis is away, work waits in the database."""
    try:
        queue = django_rq.get_queue(lane, serializer=JSONSerializer)
        if queue.count < settings.BELLS_PER_LANE:
            queue.enqueue(TASK, lane, result_ttl=0, failure_ttl=3600, job_timeout=-1)
    except RedisError as error:
        logger.warning("the bell of lane %s could not be rung: %s", lane, error)
        return False
    return True
