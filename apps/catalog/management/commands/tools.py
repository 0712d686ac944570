"""``manage.py tools check URL``: try a tool server against docs/tool-servers.md."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.catalog import adapters
from apps.catalog.domain.checks import findings
from apps.catalog.domain.conformance import ADVICE, OK, SKIPPED, WRONG, Line
from apps.catalog.domain.pack import parse_pack
from apps.catalog.domain.served import ServedTools
from apps.kernel import exactjson
from apps.kernel.errors import TowerError

SLUG = "tools-check"
USUAL = {"preview": "tower_preview", "lookup": "tower_lookup"}
_SIGN = {OK: "ok  ", ADVICE: "!   ", WRONG: "FAIL", SKIPPED: "-   "}


class Command(BaseCommand):
    help = (
        "Try a tool server against the protocol and say what is missing. Nothing that changes"
        " anything is called unless --try names it. Ends with 1 if something is wrong."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        check = actions.add_parser("check", help="try a server against the protocol")
        check.add_argument("url", help="where it is, like http://127.0.0.1:9000/mcp")
        check.add_argument("--token-env", metavar="NAME", help="variable that holds its token")
        check.add_argument("--ca-file", metavar="PEM", help="authority that signed its certificate")
        check.add_argument(
            "--allow-host", action="append", metavar="HOST", help="host or network to be called"
        )
        check.add_argument("--pack", type=Path, metavar="DIR", help="compare with this pack too")
        check.add_argument("--preview", metavar="TOOL", help="its dry run, else tower_preview")
        check.add_argument("--lookup", metavar="TOOL", help="its look-up, else tower_lookup")
        check.add_argument(
            "--try",
            dest="call",
            nargs=2,
            metavar=("TOOL", "ARGS.json"),
            help="really call this tool, twice with the same key",
        )
        check.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            connection = adapters.resolve_entry(SLUG, _entry(options))
            listing = adapters.ask(connection)
            trial = _trial(options, listing)
            listing, lines = adapters.probe(connection, trial)
            lines += _against_pack(options["pack"], listing)
        except TowerError as error:
            raise CommandError(str(error)) from None
        self._print(lines, as_json=options["json"])
        if any(line.state == WRONG for line in lines):
            raise SystemExit(1)

    def _print(self, lines: list[Line], *, as_json: bool) -> None:
        counts = {state: sum(x.state == state for x in lines) for state in _SIGN}
        if as_json:
            report = {"counts": counts, "lines": [asdict(line) for line in lines]}
            self.stdout.write(json.dumps(report, ensure_ascii=False, indent=2))
            return
        for line in lines:
            where = f"{line.tool}: " if line.tool else ""
            self.stdout.write(f"{_SIGN[line.state]} {where}{line.item}: {line.message}")
            if line.fix and line.state != OK:
                self.stdout.write(f"       {line.fix}")
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        self.stdout.write(f"{said}.")


def _entry(options: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"url": options["url"]}
    named = {"token_env": "token_env", "ca_file": "ca_file", "allow_hosts": "allow_host"}
    return entry | {key: options[o] for key, o in named.items() if options[o]}


def _trial(options: dict[str, Any], listing: ServedTools) -> adapters.Trial:
    helpers = {k: options[k] or _usual(k, listing) for k in USUAL}
    helpers = {k: name for k, name in helpers.items() if name}
    if not options["call"]:
        return adapters.Trial(helpers)
    tool, path = options["call"]
    try:
        arguments = exactjson.loads(Path(path).read_bytes())
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}.") from None
    if not isinstance(arguments, dict):
        raise CommandError(f"{path} must hold a JSON object: the arguments.")
    return adapters.Trial(helpers, tool, arguments)


def _usual(key: str, listing: ServedTools) -> str:
    return USUAL[key] if USUAL[key] in listing.tools else ""


def _against_pack(directory: Path | None, listing: ServedTools) -> list[Line]:
    if directory is None:
        return []
    try:
        text = (directory / "pack.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise CommandError(f"{directory / 'pack.yaml'} can't be read.") from None
    pack, problems = parse_pack(text)
    if pack is None:
        raise CommandError(
            "\n".join(str(p.in_file(str(directory / "pack.yaml"))) for p in problems)
        )
    return [
        Line(f.tool, f"pack.{f.field}", WRONG if f.is_error else ADVICE, f.message, f.fix)
        for f in findings(pack.tools, listing)
    ]
