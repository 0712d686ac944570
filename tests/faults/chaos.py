"""``make chaos``: the long proofs, with a seed that is printed and a report under ``var/``.

``python -m tests.faults.chaos soak --minutes 60 --seed 7`` breaks something every few seconds;
``kills``, ``decisions``, ``postgres``, ``redis`` and ``resume`` are the release gate's, each with
its own scale; ``gate`` runs them all. Every one ends with the checker's nine invariants. The exit
code is 0 only when all of them hold and every bound of the gate is kept.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Before Django reads its settings: nothing of a running tower's is touched.
_VAR = Path(tempfile.mkdtemp(prefix="tower-chaos-"))
for _name in ("DATABASE_URL", "REDIS_URL", "TOWER_FAILPOINT"):
    os.environ.pop(_name, None)
os.environ |= {
    "TOWER_ENV": "test",
    "DJANGO_SETTINGS_MODULE": "controltower.settings",
    "SECRET_KEY": secrets.token_urlsafe(48),
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nowhere",
    "TOWER_VAR": str(_VAR),
    "TOWER_LOG_LEVEL": "ERROR",
}

import django  # noqa: E402  # after the environment

django.setup()

from django.db import connections  # noqa: E402  # after the set-up

from apps.kernel.errors import ConflictError  # noqa: E402
from apps.oversight.models import Approval, Vote  # noqa: E402
from apps.oversight.services import expire_due  # noqa: E402
from apps.runs.models import Step  # noqa: E402
from controltower.launch.valkey import connect  # noqa: E402
from tests.engine.shop import call  # noqa: E402
from tests.factories.approvals import ApprovalFactory  # noqa: E402
from tests.faults import shop  # noqa: E402
from tests.faults.checker import check  # noqa: E402
from tests.faults.evidence import Evidence, database_now  # noqa: E402
from tests.faults.nemesis import Load, Nemesis, resumed_in, soak  # noqa: E402
from tests.faults.people import answer, person  # noqa: E402
from tests.faults.plant import LEASE_S, Plant, joined  # noqa: E402
from tests.practice.world.conftest import tiny_retail  # noqa: E402

OUT = Path("var") / "chaos.json"
RESUME_P95_S, RESUME_MOST_S = 35.0, 60.0
Told = dict[str, Any]


@contextmanager
def standing(**options: Any) -> Iterator[Plant]:
    """A plant of its own for one command."""
    folder = Path(tempfile.mkdtemp(dir=_VAR))
    world = folder / "world"
    world.mkdir()
    (world / "db_retail.json.gz").write_bytes(gzip.compress(json.dumps(tiny_retail()).encode()))
    plant = Plant(folder, durable=True, **options)
    try:
        plant.start(world)
        with joined(plant):
            plant.prepare()
            yield plant
    finally:
        plant.stop()


def judged(plant: Plant, since: datetime, **more: Any) -> Told:
    """What became of everything, and what the checker says."""
    evidence = Evidence.gather(plant, since=since)
    found = check(evidence)
    return {
        "accepted": len(evidence.accepted),
        "states": dict(Counter(r["state"] for r in evidence.runs.values())),
        "steps": len(evidence.steps),
        "effects": len(evidence.ledger),
        "calls_on_the_wire": len(evidence.arrivals),
        "violations": [str(v) for v in found[:50]],
        "violations_total": len(found),
        **more,
        "passed": not found and all(more.get("bounds", {}).values()),
    }


class Progress:
    """Says every fifteen seconds how far a long command has come."""

    def __init__(self, what: str, total: float) -> None:
        self.what, self.total, self.next = what, total, time.monotonic() + 15

    def at(self, done: float) -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + 15
            sys.stdout.write(f"  {done:,.0f} of {self.total:,.0f} {self.what}\n")
            sys.stdout.flush()


# --- commands -------------------------------------------------------------------------------------


def run_soak(options: argparse.Namespace) -> Told:
    """Random faults every ``--every`` seconds for ``--minutes``."""
    with standing() as plant:
        dice, since = random.Random(options.seed), database_now()
        nemesis = Nemesis(plant, dice)
        soak(
            Load(plant, dice),
            nemesis,
            seconds=options.minutes * 60,
            every_s=(options.every / 8, options.every),
            tell=Progress("seconds", options.minutes * 60).at,
        )
        return judged(plant, since, minutes=options.minutes, faults=dict(nemesis.done))


def run_kills(
    options: argparse.Namespace, apart_s: float = 0.5 * LEASE_S, **plant_options: Any
) -> Told:
    """``--kills`` kill -9 of workers at work, at random moments up to ``apart_s`` apart."""
    with standing(**plant_options) as plant:
        dice, since = random.Random(options.seed), database_now()
        nemesis, load = Nemesis(plant, dice), Load(plant, dice, open_runs=60, workers=4)
        kills, strike_at, progress = 0, 0.0, Progress("kills", options.kills)
        while kills < options.kills:
            load.tend()
            progress.at(kills)
            if time.monotonic() >= strike_at and nemesis.kill_worker(holding=True):
                kills += 1
                strike_at = time.monotonic() + dice.uniform(0.0, apart_s)
            time.sleep(0.05)
        load.finish(seconds=400)
        took = resumed_in(nemesis)
        p95 = took[int(len(took) * 0.95)] if took else 0.0
        unkeyed = Step.objects.filter(idempotency="none", lease_losses__gt=0, intent_open=True)
        bounds = {
            "no_step_is_called_poison": not Step.objects.filter(error_class="poison").exists(),
            "some_were_resumed": bool(took),
            "resume_p95": p95 <= RESUME_P95_S,
            "resume_max": max(took, default=0.0) <= RESUME_MOST_S,
            "ambiguous_unkeyed_are_unknown": not unkeyed.exclude(
                state="confirmation_unknown"
            ).exists(),
        }
        resumed = {"n": len(took), "p95_s": round(p95, 2), "max_s": round(max(took, default=0), 2)}
        return judged(plant, since, kills=kills, resume=resumed, bounds=bounds)


def run_resume(options: argparse.Namespace) -> Told:
    """Kills under the lease of production: 30 s, swept every 5 s."""
    return run_kills(options, apart_s=10.0, lease_s=30.0, sweep_s=5.0)


def run_postgres(options: argparse.Namespace) -> Told:
    """PostgreSQL killed and started again every 5 to 40 s, 0 to 2 s down."""
    with standing() as plant:
        dice, since = random.Random(options.seed), database_now()
        nemesis = Nemesis(plant, dice)

        def strike() -> None:
            nemesis.restart_postgres()
            nemesis.done["restart PostgreSQL"] += 1

        every = (min(5.0, options.every / 8), options.every)
        soak(
            Load(plant, dice),
            nemesis,
            seconds=options.minutes * 60,
            every_s=every,
            strike=strike,
            tell=Progress("seconds", options.minutes * 60).at,
        )
        return judged(plant, since, minutes=options.minutes, faults=dict(nemesis.done))


def run_redis(options: argparse.Namespace) -> Told:
    """Redis wiped again and again, then stopped for ``--minutes``, then full; decisions and new
    work are accepted throughout."""
    with standing() as plant:
        dice, since = random.Random(options.seed), database_now()
        load, nemesis = Load(plant, dice), Nemesis(plant, dice)
        third = options.minutes * 60 / 3

        def wipe() -> None:
            nemesis.wipe_redis()
            nemesis.done["wipe Redis"] += 1

        soak(load, nemesis, seconds=third, every_s=(0.5, 2), strike=wipe)
        held = plant.start_runs([shop.script(call(shop.APPROVED, 0, **shop.RETURN))] * 40)
        plant.wait(held, {"waiting_approval"})
        decided = _decided()
        plant.valkey.kill()
        load.takes_new = True
        away = options.minutes * 60
        began, end = len(load.started), time.monotonic() + away
        progress = Progress("seconds without Redis", away)
        while time.monotonic() < end:
            load.tend()
            progress.at(away - (end - time.monotonic()))
            time.sleep(0.2)
        accepted, decided = len(load.started) - began, _decided() - decided
        plant.valkey.start()
        load.finish()
        connect(plant.valkey.url).config_set("maxmemory", "1mb")
        load.takes_new = True
        end = time.monotonic() + third
        while time.monotonic() < end:
            load.tend()
            time.sleep(0.2)
        connect(plant.valkey.url).config_set("maxmemory", "0")
        load.finish()
        told = {"accepted_while_away": accepted, "decided_while_away": decided}
        bounds = {"accepted": accepted > 0, "decided": decided >= len(held)}
        return judged(plant, since, **told, faults=dict(nemesis.done), bounds=bounds)


def _decided() -> int:
    return Vote.objects.count()


def run_decisions(options: argparse.Namespace) -> Told:
    """``--rounds`` races of four people, every tenth also against the clock: one winner each."""
    with standing() as plant:
        since, dice = database_now(), random.Random(options.seed)
        users = [person() for _ in range(4)]
        wrong: list[str] = []
        barrier, progress = threading.Barrier(4), Progress("rounds", options.rounds)

        def vote(approval: Approval, n: int) -> str:
            barrier.wait()
            try:
                return answer(approval, users[n], approve=n % 2 == 0).state
            except ConflictError as error:
                return error.code

        with ThreadPoolExecutor(4) as pool:
            for number in range(options.rounds):
                progress.at(number)
                approval = ApprovalFactory.create(risk=dice.choice([1, 2, 3]))
                said = list(pool.map(vote, [approval] * 4, range(4)))
                if number % 10 == 0:
                    expire_due()
                state = Approval.objects.get(pk=approval.pk).state
                votes = Vote.objects.filter(approval=approval).count()
                if sorted(said) != sorted([state, *["decided"] * 3]) or votes != 1:
                    wrong.append(f"{approval.pk}: {said}, {state}, {votes} votes")
            for _ in range(4):
                pool.submit(connections.close_all)
        bounds = {"one_winner_each": not wrong}
        return judged(plant, since, rounds=options.rounds, wrong=wrong[:20], bounds=bounds)


def run_gate(options: argparse.Namespace) -> Told:
    """Everything of the release gate, at ``--scale`` (1.0 is the whole)."""
    scale = options.scale
    parts: Told = {}
    for name, settings in {
        "kills": {"kills": max(5, int(1000 * scale))},
        "decisions": {"rounds": max(20, int(10_000 * scale))},
        "postgres": {"minutes": 30 * scale},
        "redis": {"minutes": 5 * scale},
        "resume": {"kills": max(3, int(60 * scale))},
    }.items():
        sys.stdout.write(f"{name}: {settings}\n")
        parts[name] = COMMANDS[name](argparse.Namespace(**{**vars(options), **settings}))
        report({name: parts[name]}, options)
    return {"parts": {n: p["passed"] for n, p in parts.items()}, "passed": all(
        p["passed"] for p in parts.values()
    )}  # fmt: skip


COMMANDS: dict[str, Callable[[argparse.Namespace], Told]] = {
    "soak": run_soak,
    "kills": run_kills,
    "decisions": run_decisions,
    "postgres": run_postgres,
    "redis": run_redis,
    "resume": run_resume,
    "gate": run_gate,
}


def report(told: dict[str, Told], options: argparse.Namespace) -> None:
    """Write ``var/chaos.json`` (what other commands found stays) and ``var/chaos.md``."""
    out: Path = options.out
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(out.read_text()) if out.exists() else {}
    about = {
        "seed": options.seed,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
    }
    kept |= {name: {**about, **found} for name, found in told.items()}
    out.write_text(json.dumps(kept, indent=2, default=str) + "\n")
    lines = ["# Chaos", ""]
    for name, found in sorted(kept.items()):
        word = "passed" if found["passed"] else "FAILED"
        lines += [f"## {name}: {word} (seed {found['seed']}, {found['at']})", ""]
        skipped = {"passed", "seed", "at", "violations"}
        lines += [f"- {k}: {v}" for k, v in found.items() if k not in skipped]
        lines += [f"- VIOLATION {v}" for v in found.get("violations", [])] + [""]
    out.with_suffix(".md").write_text("\n".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("command", nargs="?", default="soak", choices=COMMANDS)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=40.0, help="seconds between faults at most")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    say = sys.stdout.write
    say(f"chaos {options.command}, seed {options.seed}\n")
    sys.stdout.flush()
    begun = time.monotonic()
    found = COMMANDS[options.command](options)
    found["took_s"] = round(time.monotonic() - begun, 1)
    report({options.command: found}, options)
    shown = {k: v for k, v in found.items() if k != "violations"}
    say(json.dumps(shown, indent=2, default=str) + "\n")
    say("".join(f"VIOLATION {v}\n" for v in found.get("violations", [])))
    say(f"report: {options.out} and {options.out.with_suffix('.md')}\n")
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
