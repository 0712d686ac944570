#!/usr/bin/env python3
"""Verify a bundle of a Control Tower's audit log, with nothing of the tower.

    python3 verify.py BUNDLE [--ring FILE] [--checkpoints FILE]

One file for Python 3.9 and newer. The package "cryptography" makes it faster, where it is there.
A bundle is what "Bundle" on the audit page or "manage.py audit bundle" wrote: JSON lines with the
events, the checkpoints, the decided approvals with their votes, and the public keys.

--ring FILE         the key ring as you keep it (approval.key.ring). Without it the keys are those
                    that the bundle brings: whoever made it all up could have made keys too.
--checkpoints FILE  checkpoints as you keep them. The bundle has to fit them as well.

Ends with 0: what is in the bundle holds. 1: something contradicts, each is named. 2: it is no
bundle, or can't be read. 3: nothing contradicts, but the bundle ends short.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from datetime import datetime

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None

VERSION = 1
GENESIS = "0" * 64
MOST_LINE = 64 * 1024 * 1024  # bytes: an event may hold a long text
MOST_TOLD = 20
EVENT = {"": (b"tower.audit.v1", "event"), "texts": (b"tower.audit.texts.v1", "texts")}
CHECKPOINT = b"tower.audit.checkpoint.v1\x00"
DECISION = b"tower.decision.v1\x00"
GRANT = b"tower.grant.v1\x00"
GRANTED = ("grant proposal", "grant", "grant use")
BINDING, SHOWN = b"tower.approval.v1\x00", b"tower.shown.v1\x00"
QUESTION = ("approval_id", "decision_id", "run_id", "step_id", "digest", "contract", "policy")
OK, CONTRADICTED, UNREADABLE, SHORT = range(4)


class NoBundleError(Exception):
    """This can't be read as a bundle."""


# --- Ed25519 (RFC 8032) ---------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def _point(raw):
    """A point from its 32 bytes; None for what is none."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def _add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = _point(BASE_Y.to_bytes(32, "little"))


def slow_signs_for(public, message, signature):
    """Whether `signature` is that of `message` by the private half of `public`."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, commitment = _point(public), _point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= ORDER:
        return False
    hashed = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(hashed, "little") % ORDER
    left, right = _times(scalar, BASE), _add(commitment, _times(challenge, key))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


def signs_for(public, message, signature):
    """The same, by "cryptography" where it is there."""
    if Ed25519PublicKey is None:
        return slow_signs_for(public, message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# --- reading --------------------------------------------------------------------------------------


def read_json(text):
    """JSON in which no key stands twice."""

    def once(pairs):
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def lines_of(path):
    """The lines of a bundle as (what it is, value)."""
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(MOST_LINE):
            number += 1
            try:
                found = read_json(line.decode("utf-8"))
            except ValueError as error:
                if not line.endswith(b"\n"):
                    return  # cut in the middle of a line: it ends short
                raise NoBundleError(f"line {number} is no JSON: {error}") from None
            if not isinstance(found, dict) or len(found) != 1:
                raise NoBundleError(f"line {number} is no entry of a bundle")
            yield next(iter(found.items()))


def read_ring(path):
    """A key ring: public keys by id, and the ids of those that were revoked."""
    keys, revoked = {}, set()
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if len(words) < 2 or words[0] not in ("added", "revoked"):
                continue
            raw = decoded(words[1])
            keys[key_id(raw)] = raw
            if words[0] == "revoked":
                revoked.add(key_id(raw))
    return keys, revoked


def decoded(text):
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        return b""


def key_id(raw):
    return hashlib.sha256(raw).hexdigest()[:16]


# --- judging --------------------------------------------------------------------------------------


class Verifier:
    """Takes the lines of a bundle one by one, and says at the end what they prove."""

    def __init__(self, ring=None, checkpoints=()):
        self.keys, self.revoked = ring or ({}, set())
        self.is_pinned = ring is not None
        self.told = {}  # what the bundle says of itself
        self.first = self.last = None  # positions
        self.hash = ""
        self.hashes = {}  # of the places of checkpoints that are kept elsewhere
        self.kept = {}  # by count: of two that contradict each other neither is dropped
        for mark in checkpoints:
            self.kept.setdefault(mark["count"], []).append(mark)
        self.beyond = 0  # the most events that a kept checkpoint counts, where these are fewer
        self.covered = 0  # the last event that a signed checkpoint covers
        self.counts = {"event": 0, "checkpoint": 0, "approval": 0}
        self.decided = {}  # approvals that events say were answered
        self.approvals = {}
        self.uses = {}  # of grants, by grant and number
        self.problems = []
        self.end = None

    def wrong(self, text):
        self.problems.append(text)

    def take(self, what, value):
        if self.end is not None:
            self.wrong("something stands behind the end of the bundle")
        if not self.told and what != "bundle":
            raise NoBundleError("it doesn't begin as a bundle does")
        takes = getattr(self, f"take_{what}", None)
        if takes is None:
            raise NoBundleError(f"an entry is called {what!r}, which this version doesn't know")
        try:
            takes(value)
        except (KeyError, TypeError, AttributeError) as error:
            self.wrong(f"an entry “{what}” lacks or mistakes a field ({error})")
        if what in self.counts:
            self.counts[what] += 1

    def take_bundle(self, value):
        if self.told:
            raise NoBundleError("it begins twice")
        if value["v"] != VERSION:
            raise NoBundleError(f"it is of version {value['v']}, and this verifies {VERSION}")
        self.told = value
        self.hash = value["previous"]
        self.last = value["after"]
        if self.last == 0 and self.hash != GENESIS:
            self.wrong("the log doesn't begin at its beginning")

    def take_key(self, value):
        raw = decoded(value["public"])
        if self.is_pinned:
            return
        self.keys[key_id(raw)] = raw
        if value.get("revoked"):
            self.revoked.add(key_id(raw))

    def take_event(self, value):
        purpose, field = EVENT[value["as"]]
        text = value["hashed"].encode("utf-8", "surrogatepass")
        inside = read_json(value["hashed"])
        position, expected = inside["position"], self.last + 1
        where = f"event #{position}"
        if position != expected:
            self.wrong(f"{where} stands where #{expected} belongs: some are missing or were moved")
        elif inside["prev"] != self.hash:
            self.wrong(f"{where} doesn't follow from the one before it")
        if hashlib.sha256(purpose + b"\x00" + text).hexdigest() != value["hash"]:
            self.wrong(f"the content of {where} doesn't fit its hash")
        self.first = self.first or position
        self.last, self.hash = position, value["hash"]
        if position in self.kept:
            self.hashes[position] = value["hash"]
        self.note_decision(inside[field], position)

    def note_decision(self, event, position):
        kind = event.get("kind", "")
        if kind in ("approval.approved", "approval.rejected"):
            self.decided[event["subject_id"]] = (kind.partition(".")[2], position)

    def take_checkpoint(self, mark):
        count = mark["count"]
        if not self.is_a_mark(mark):
            self.wrong(f"the checkpoint of {count} events isn't signed by a key that counts")
        elif count != self.last:
            self.wrong(f"the checkpoint of {count} events stands behind #{self.last}")
        elif mark["head"] != self.hash:
            self.wrong(f"event #{count} isn't the one of the checkpoint of {mark['at']}")
        else:
            self.covered = count

    def is_a_mark(self, mark):
        payload = {name: mark[name] for name in ("v", "count", "head", "at")}
        return self.is_signed(CHECKPOINT, canonical(payload), mark["key"], mark["signature"])

    def is_signed(self, purpose, text, key, signature):
        known = self.keys.get(key)
        if known is None or key in self.revoked:
            return False
        return signs_for(known, purpose + text.encode("utf-8", "surrogatepass"), decoded(signature))

    # --- approvals ---

    def take_approval(self, value):
        name = value["id"]
        self.approvals[name] = value["state"]
        if value.get("grant"):
            for problem in self.of_use(name, value, value["grant"]):
                self.wrong(f"approval {name}: {problem}")
            return
        signed = value["decision"]
        if not self.is_signed(DECISION, signed["signed"], signed["key"], signed["signature"]):
            self.wrong(f"the answer of approval {name} isn't signed by a key that counts")
            return
        decision = read_json(signed["signed"])
        for problem in self.of_decision(name, value, decision):
            self.wrong(f"approval {name}: {problem}")

    def of_decision(self, name, value, decision):
        if decision["approval_id"] != name or decision["decision"] != value["state"]:
            yield "what was signed is another answer"
        if sha256(BINDING, value["binding"]) != decision["digest"]:
            yield "what it is bound to isn't what was signed"
        if sha256(b"", value["reason"]) != decision["reason_sha256"]:
            yield "the reason isn't the one that was signed"
        if decision.get("v") == 1:  # before votes were signed each
            return
        if sha256(SHOWN, value["shown"]) != decision["shown_sha256"]:
            yield "what people were shown isn't what was signed"
        yield from self.of_votes(value["votes"], decision)

    def of_use(self, name, value, grant):
        """A request that a grant answered: two people signed the grant, the tower its use."""
        texts = []
        for signed in (grant["proposal"], grant["confirmation"], value["decision"]):
            if not self.is_signed(GRANT, signed["signed"], signed["key"], signed["signature"]):
                yield "the grant that covers it, or its use, isn't signed by a key that counts"
                return
            texts.append(read_json(signed["signed"]))
        yield from self.of_grant(grant, texts)
        use, bounds = texts[-1], read_json(grant["bounds"])
        if use["confirmation"] != grant["confirmation"]["signature"] or use["approval_id"] != name:
            yield "the use is one of another grant, or of another request"
        if sha256(BINDING, value["binding"]) != use["digest"]:
            yield "what it is bound to isn't what was signed"
        if sha256(SHOWN, value["shown"]) != use["shown_sha256"]:
            yield "what the request said isn't what was signed"
        if use["number"] > bounds["count"] or at(use["at"]) > at(texts[1]["ends_at"]):
            yield "the grant was used beyond its count or its end"
        if self.uses.setdefault((use["grant_id"], use["number"]), name) != name:
            yield "the same use of its grant answered another request"

    def of_grant(self, grant, texts):
        proposal, confirmation, use = texts
        if {one["grant"] for one in texts} != {sha256(GRANT, grant["bounds"])}:
            yield "the bounds of the grant aren't those that were signed"
        if (proposal["what"], confirmation["what"], use["what"]) != GRANTED:
            yield "what was signed is no grant"
        if confirmation["proposal"] != f"{proposal['user']}:{grant['proposal']['signature']}":
            yield "what was confirmed is another proposal"
        if confirmation["user"] == proposal["user"]:
            yield "one person gave the grant"

    def of_votes(self, votes, decision):
        yes, names = 0, []
        for vote in votes:
            if not self.is_signed(DECISION, vote["signed"], vote["key"], vote["signature"]):
                yield "a vote isn't signed by a key that counts"
                continue
            said = read_json(vote["signed"])
            names.append(f"{said['user']}:{vote['signature']}")
            yes += said["vote"] == "approve"
            if any(said[field] != decision[field] for field in QUESTION):
                yield f"the vote of {said['user']} is to another question"
        if sorted(names) != decision["votes"]:
            yield "its votes aren't those that the answer was signed over"
        people = {one.partition(":")[0] for one in names}
        if (
            decision["decision"] == "approved"
            and min(yes, len(people)) < decision["votes_required"]
        ):
            yield "fewer people agreed than it needs"

    def take_end(self, value):
        self.end = value

    # --- at the end ---

    def finish(self):
        """What stands in the bundle as a whole."""
        if self.end is not None:
            for what, count in self.counts.items():
                if (said := self.end["counts"].get(what)) != count:
                    self.wrong(f"it says that it has {said} entries “{what}”, and has {count}")
            self.compare_decisions()
        for count, marks in sorted(self.kept.items()):
            for mark in marks:
                self.compare_with_kept(count, mark)

    def compare_with_kept(self, count, mark):
        is_whole = self.end is not None and self.end.get("at_end")
        if not self.is_a_mark(mark):
            self.wrong(f"your checkpoint of {count} events isn't signed by a key that counts")
        elif count > self.last and is_whole:
            self.wrong(f"your checkpoint counts {count} events, and the log ends at #{self.last}")
        elif count > self.last:
            self.beyond = count
        elif count in self.hashes and self.hashes[count] != mark["head"]:
            self.wrong(f"event #{count} isn't the one of your checkpoint of {mark['at']}")
        elif count in self.hashes:
            self.covered = max(self.covered, count)

    def compare_decisions(self):
        for name, (state, position) in sorted(self.decided.items()):
            said = f"event #{position} says that approval {name} was {state}"
            if name not in self.approvals:
                self.wrong(f"{said}; it isn't in the bundle")
            elif self.approvals[name] != state:
                self.wrong(f"{said}; here it is {self.approvals[name]}")
        for name in sorted(set(self.approvals) - set(self.decided)):
            self.wrong(f"no event says that approval {name} was answered")

    @property
    def is_short(self):
        """Whether there are events behind its last one, or nobody says that there are none."""
        if self.end is None or self.beyond:
            return True
        return bool(self.end.get("short")) or not self.end.get("at_end")

    def report(self):
        """Lines for people."""
        yield from (f"WRONG: {one}." for one in self.problems[:MOST_TOLD])
        if len(self.problems) > MOST_TOLD:
            yield f"… and {len(self.problems) - MOST_TOLD} more."
        if self.end is None:
            yield "SHORT: the bundle has no end: it was cut off, and nobody knows what is missing."
        elif self.end.get("short"):
            yield f"SHORT: {self.end['short']}."
        elif not self.end.get("at_end"):
            yield "SHORT: the bundle doesn't say that it goes up to the end of the log."
        if self.beyond:
            yield (
                f"SHORT: your checkpoint counts {self.beyond} events, and the bundle ends at"
                f" #{self.last}."
            )
        if not self.problems:
            yield from self.proofs()
        yield from self.limits()

    def proofs(self):
        if self.first:
            yield (
                f"PROVED: events #{self.first} to #{self.last} follow from one another; none is"
                " changed or missing between them."
            )
        if self.covered:
            yield f"PROVED: up to #{self.covered} they are those that a signed checkpoint counted."
        if self.counts["approval"]:
            yield (
                f"PROVED: {self.counts['approval']} answers, each with its votes, are what was"
                " signed, about what was shown and what was bound."
            )

    def limits(self):
        if begins := self.told.get("after"):
            yield f"NOT PROVED: anything up to event #{begins}, behind which the bundle begins."
        if self.last and self.last > self.covered:
            yield (
                f"NOT PROVED: that events from #{self.covered + 1} on weren't written anew as a"
                " whole: no signed checkpoint covers them."
            )
        if not self.is_pinned:
            named = ", ".join(sorted(set(self.keys) - self.revoked)) or "none"
            yield (
                f"NOT PROVED: that the keys are the tower's ({named}): they came with the bundle."
                " Compare them, or give --ring."
            )
        if not self.kept:
            yield (
                "NOT PROVED: that no newer event was cut off: only a checkpoint that you keep"
                " yourself shows it (--checkpoints)."
            )
        yield "NOT PROVED: that what an event says is true, or who sat at a person's keyboard."


def canonical(payload):
    """RFC 8785, for what needs no more than this of it."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(purpose, text):
    return hashlib.sha256(purpose + text.encode("utf-8", "surrogatepass")).hexdigest()


def at(text):
    """A moment, as it was signed."""
    return datetime.fromisoformat(text)


def read_marks(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                found = read_json(line)
            except ValueError:
                continue  # a line that was cut
            if isinstance(found, dict) and isinstance(found.get("count"), int):
                yield found


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle")
    parser.add_argument("--ring")
    parser.add_argument("--checkpoints")
    given = parser.parse_args(arguments)
    try:
        ring = read_ring(given.ring) if given.ring else None
        verifier = Verifier(ring, read_marks(given.checkpoints) if given.checkpoints else ())
        for what, value in lines_of(given.bundle):
            verifier.take(what, value)
        if not verifier.told:
            raise NoBundleError("it is empty")
        verifier.finish()
    except (NoBundleError, OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"{given.bundle} can't be verified: {error}\n")
        return UNREADABLE
    sys.stdout.write("".join(f"{line}\n" for line in verifier.report()))
    if verifier.problems:
        return CONTRADICTED
    return SHORT if verifier.is_short else OK


if __name__ == "__main__":
    sys.exit(main())
