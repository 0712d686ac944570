"""The live model: one on this machine when `TOWER_MODEL=local`, else the provider that is named."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from controltower.launch import files, ports, programs
from controltower.launch.places import Places
from controltower.launch.processes import READY_SECONDS, wait_until
from controltower.launch.supervisor import Program
from controltower.practice import localmodel

LOCAL = "local"
HOW = "TOWER_MODEL, TOWER_MODEL_URL and TOWER_MODEL_KEY, or `make up MODEL=local`"


def is_own(env: Mapping[str, str]) -> bool:
    """Whether the tower has to run the model itself: `local`, and no address is given."""
    return env.get("TOWER_MODEL") == LOCAL and not env.get("TOWER_MODEL_URL")


def problem() -> str:
    """Why the model cannot run on this machine; empty when it can."""
    if absent := localmodel.missing():
        return (
            f"TOWER_MODEL=local needs {' and '.join(absent)}, not installed here:"
            " `make up MODEL=local` installs them. The tower runs without a live model."
        )
    return ""


def address(places: Places, *, port: int) -> dict[str, str]:
    """What the tower's processes are told to reach it; its key is made the first time."""
    return {
        "TOWER_MODEL": LOCAL,
        "TOWER_MODEL_NAME": f"{LOCAL} ({localmodel.NAME})",
        "TOWER_MODEL_URL": f"http://{ports.LOOPBACK}:{port}/v1",
        "TOWER_MODEL_KEY": files.secret(places.key("model")),
    }


def program(*, places: Places, env: Mapping[str, str], port: int) -> Program:
    """The process; its port is fixed, since workers keep its address."""
    arguments = ["-m", "controltower.practice.localmodel", "--port", str(port)]
    arguments += ["--announce", str(places.run / "model.json")]
    own = {name: env[name] for name in ("TOWER_MODEL_KEY",) if name in env}
    return programs.program("model", arguments, places=places, env=programs.bare(env) | own)


def await_own(program: Program, places: Places) -> bool:
    """Wait until the model says where it is; False once its process has ended instead."""
    announced = places.run / "model.json"

    def is_settled() -> bool:
        said = files.read_json(announced)
        return program.poll() is not None or said.get("pid") == program.pid

    return wait_until(is_settled, timeout_seconds=READY_SECONDS, every_seconds=0.1) and (
        program.poll() is None
    )


def described(env: Mapping[str, str]) -> str:
    """One line for `make doctor`; never the key."""
    name, url = env.get("TOWER_MODEL", ""), env.get("TOWER_MODEL_URL", "")
    if not name or not url:
        return f"not configured (optional): set {HOW}"
    host = urlsplit(url).hostname or url
    return f"{localmodel.NAME} on this machine" if name == LOCAL else f"{name} of {host}"
