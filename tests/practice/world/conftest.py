"""A tiny pack of our own, so that these tests need neither the published data nor a network."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from controltower.practice.world.loading import CHECKOUT, load_world
from controltower.practice.world.records import SystemOfRecord


def variant(item_id: str, price: float, colour: str, *, available: bool = True) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "options": {"colour": colour},
        "available": available,
        "price": price,
    }


def order(order_id: str, status: str, method: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    paid = round(sum(item["price"] for item in items), 2)
    return {
        "order_id": order_id,
        "user_id": "ada_byron_1",
        "address": {"city": "London", "zip": "10001"},
        "items": items,
        "status": status,
        "fulfillments": [],
        "payment_history": [
            {"transaction_type": "payment", "amount": paid, "payment_method_id": method}
        ],
    }


def mug(price: float = 10.0) -> dict[str, Any]:
    return {
        "name": "Mug",
        "product_id": "p1",
        "item_id": "red",
        "price": price,
        "options": {"colour": "red"},
    }


def tiny_retail() -> dict[str, Any]:
    return {
        "products": {
            "p1": {
                "name": "Mug",
                "product_id": "p1",
                "variants": {
                    "red": variant("red", 10.0, "red"),
                    "blue": variant("blue", 12.5, "blue"),
                    "gold": variant("gold", 99.0, "gold"),
                    "grey": variant("grey", 8.0, "grey", available=False),
                },
            }
        },
        "users": {
            "ada_byron_1": {
                "user_id": "ada_byron_1",
                "name": {"first_name": "Ada", "last_name": "Byron"},
                "address": {"city": "London", "zip": "10001"},
                "email": "Ada@Example.com",
                "payment_methods": {
                    "card": {"source": "credit_card", "id": "card"},
                    "gift": {"source": "gift_card", "id": "gift", "balance": 20.0},
                },
                "orders": ["#P", "#G", "#D"],
            }
        },
        "orders": {
            "#P": order("#P", "pending", "card", [mug(), mug()]),
            "#G": order("#G", "pending", "gift", [mug()]),
            "#D": order("#D", "delivered", "card", [mug()]),
        },
    }


def flight(number: str, origin: str, to: str, leaves: str, lands: str, *, seats: int = 2) -> Any:
    day = {
        "status": "available",
        "available_seats": {"economy": seats, "business": 1},
        "prices": {"economy": 100, "business": 300},
    }
    return {
        "flight_number": number,
        "origin": origin,
        "destination": to,
        "scheduled_departure_time_est": leaves,
        "scheduled_arrival_time_est": lands,
        "dates": {
            "2024-05-01": {"status": "landed"},
            "2024-05-20": day,
            "2024-05-21": {**day, "available_seats": {"economy": seats, "business": 1}},
        },
    }


def tiny_airline() -> dict[str, Any]:
    return {
        "flights": {
            "F1": flight("F1", "JFK", "SEA", "06:00:00", "09:00:00"),
            "F2": flight("F2", "JFK", "ORD", "06:00:00", "08:00:00"),
            "F3": flight("F3", "ORD", "SEA", "08:00:00", "12:00:00"),
            "F4": flight("F4", "ORD", "SEA", "07:00:00", "11:00:00"),
        },
        "users": {
            "ada": {
                "user_id": "ada",
                "address": {"city": "London", "state": "NY"},
                "payment_methods": {
                    "card": {"source": "credit_card", "id": "card"},
                    "gift": {"source": "gift_card", "id": "gift", "amount": 120.0},
                    "cert": {"source": "certificate", "id": "cert", "amount": 500.0},
                },
                "reservations": ["R1"],
            }
        },
        "reservations": {
            "R1": {
                "reservation_id": "R1",
                "user_id": "ada",
                "origin": "JFK",
                "destination": "SEA",
                "flight_type": "one_way",
                "cabin": "economy",
                "flights": [
                    {
                        "origin": "JFK",
                        "destination": "SEA",
                        "flight_number": "F1",
                        "date": "2024-05-20",
                        "price": 80,
                    }
                ],
                "passengers": [{"first_name": "Ada", "last_name": "Byron", "dob": "1990-01-01"}],
                "payment_history": [{"payment_id": "card", "amount": 80}],
                "created_at": "2024-05-02T00:00:00",
                "total_baggages": 1,
                "nonfree_baggages": 0,
                "insurance": "no",
            }
        },
    }


@pytest.fixture
def retail() -> dict[str, Any]:
    return tiny_retail()


@pytest.fixture
def airline() -> dict[str, Any]:
    return tiny_airline()


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    for name, world in (("retail", tiny_retail()), ("airline", tiny_airline())):
        (folder / f"db_{name}.json.gz").write_bytes(gzip.compress(json.dumps(world).encode()))
    return folder


@pytest.fixture
def records(
    tiny_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SystemOfRecord]:
    monkeypatch.setenv("TOWER_DATA", str(tiny_pack))
    system = SystemOfRecord("retail", tmp_path / "retail.sqlite")
    yield system
    system.close()


@pytest.fixture
def fresh_retail(tiny_pack: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TOWER_DATA", str(tiny_pack))
    return load_world("retail")


@dataclass
class RunningService:
    """A service in a process of its own, and the means to end it."""

    process: subprocess.Popen[bytes]
    url: str
    db: Path
    announcement: dict[str, Any]

    def post(
        self, tool: str, args: dict[str, Any], timeout: float = 10, **meta: Any
    ) -> httpx.Response:
        """Call a tool over bare HTTP, on a connection of its own."""
        params = {"name": tool, "arguments": args, "_meta": meta}
        return httpx.post(
            self.url,
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
            headers={"accept": "application/json, text/event-stream"},
            timeout=timeout,
        )

    def call(self, tool: str, args: dict[str, Any], **meta: Any) -> dict[str, Any]:
        """Call a tool and return the MCP result."""
        response = self.post(tool, args, **meta)
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()["result"]
        return result

    def tower(self, name: str, /, **args: Any) -> dict[str, Any]:
        """Call a ``tower_`` tool and return its object."""
        answer: dict[str, Any] = self.call(name, args)["structuredContent"]
        return answer

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as a supervisor does, and return its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=10)


Starter = Callable[..., RunningService]


def start_service(pack: Path, folder: Path, db: Path, *options: str) -> RunningService:
    announce = folder / f"announce-{len(list(folder.iterdir()))}.json"
    command = [sys.executable, "-m", "controltower.practice.world", "--domain", "retail"]
    command += ["--port", "0", "--db", str(db), "--announce", str(announce), *options]
    process = subprocess.Popen(
        command,
        env={**os.environ, "TOWER_DATA": str(pack)},
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while not announce.exists():
        assert process.poll() is None, f"the service ended with {process.returncode}"
        assert time.monotonic() < deadline, "the service did not start"
        time.sleep(0.02)
    announcement = json.loads(announce.read_text())
    return RunningService(process, announcement["url"], db, announcement)


@pytest.fixture
def start(tiny_pack: Path, tmp_path: Path) -> Iterator[Starter]:
    started: list[RunningService] = []

    def starter(*options: str, db: Path | None = None) -> RunningService:
        path = db or tmp_path / "retail.sqlite"
        started.append(start_service(tiny_pack, tmp_path, path, *options))
        return started[-1]

    yield starter
    for service in started:
        service.kill()


@pytest.fixture(scope="module")
def faulty(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("faulty")
    service = start_service(tiny_pack, folder, folder / "retail.sqlite", "--allow-faults")
    yield service
    service.kill()
