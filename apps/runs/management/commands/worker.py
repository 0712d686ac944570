"""``manage.py worker --lane normal``: an RQ worker that listens to one lane."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

import django_rq
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections
from rq import Worker
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from apps.runs.engine.drain import worker_name
from apps.runs.services import beat

PR_SET_PDEATHSIG = 1


class LaneWorker(Worker):
    """A forking RQ worker. Its work-horse dies with it: RQ's own horse outlives a killed parent
    and would go on beside the worker that takes the work over."""

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == 1:  # the parent died before we asked to die with it
                os._exit(1)
        connections.close_all()  # a connection of the parent's must not be shared by the child
        super().main_work_horse(job, queue)


class Command(BaseCommand):
    help = "Drain one lane with an RQ worker until told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--lane", choices=settings.LANES, default="normal")
        parser.add_argument("--burst", action="store_true", help="stop when nothing is rung")

    def handle(self, *args: Any, **options: Any) -> None:
        lane = options["lane"]
        queue = django_rq.get_queue(lane, serializer=JSONSerializer)
        name = worker_name().replace(":", "-").replace(".", "-")
        beat(name, "worker", lane, 0, 0)
        connections.close_all()
        worker = LaneWorker(
            [queue],
            name=name,
            connection=queue.connection,
            serializer=JSONSerializer,
            worker_ttl=60,
            maintenance_interval=60,
        )
        worker.work(burst=options["burst"], logging_level="WARNING", with_scheduler=False)
