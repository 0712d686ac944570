"""Time stamps (RFC 3161): an authority says, signed, that it saw a checkpoint at a moment.

A stamp is worth something only for the very bytes that it was asked for: one of other data is as
validly signed. So its imprint is held against the checkpoint's own bytes, each time.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx2
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from apps.audit.adapters.files import append_line
from apps.audit.domain.checkpoint import SignedHead, head_of
from apps.kernel.canonical import canonical_bytes
from apps.kernel.errors import UnavailableError

SECONDS = 15.0
MOST_BYTES = 64 * 1024  # of an answer, and of a line that is kept
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"


class StampError(UnavailableError):
    """No time stamp could be had, or it isn't one of what was asked. It says why."""

    code = "stamp"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A checkpoint with the answer of an authority about it."""

    mark: SignedHead
    reply: bytes

    @property
    def line(self) -> str:
        told = {**self.mark.payload, "stamp": base64.b64encode(self.reply).decode()}
        return json.dumps(told)


def ask(url: str, roots: str, mark: SignedHead) -> Stamp:
    """A stamp of this checkpoint, verified. Raises ``StampError``."""
    message = canonical_bytes(mark.payload)
    builder = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256)
    request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    reply = _post(url, request.as_bytes())
    stamp = Stamp(mark, reply)
    if why := _why_not(stamp, VerifierBuilder.from_request(request), roots):
        raise StampError(f"The time stamp of {url} can't be used: {why}.")
    return stamp


def why_not(stamp: Stamp, roots: str) -> str:
    """Why a stamp proves nothing about its checkpoint; nothing if it proves it."""
    return _why_not(stamp, VerifierBuilder(), roots)


def time_of(stamp: Stamp) -> datetime:
    """When the authority says that it saw it."""
    return decode_timestamp_response(stamp.reply).tst_info.gen_time


def _why_not(stamp: Stamp, builder: VerifierBuilder, roots: str) -> str:
    try:
        for root in x509.load_pem_x509_certificates(Path(roots).read_bytes()):
            builder = builder.add_root_certificate(root)
        reply = decode_timestamp_response(stamp.reply)
        builder.build().verify_message(reply, canonical_bytes(stamp.mark.payload))
    except (VerificationError, ValueError, OSError) as error:
        return str(error).strip().rstrip(".") or type(error).__name__
    return ""


def _post(url: str, content: bytes) -> bytes:
    try:
        with (
            httpx2.Client(timeout=SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", url, content=content, headers={"Content-Type": QUERY}) as answer,
        ):
            return _bounded(url, answer)
    except httpx2.HTTPError as error:
        why = str(error) or type(error).__name__
        raise StampError(f"{url} can't be asked for a time stamp: {why}.") from error


def _bounded(url: str, answer: httpx2.Response) -> bytes:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if answer.status_code != 200 or kind != REPLY:
        raise StampError(f"{url} answers {answer.status_code} ({kind[:80]}) and no time stamp.")
    body = b""
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            raise StampError(f"{url} answers with more than {MOST_BYTES:,} bytes.")
    return body


def keep(file: str, stamp: Stamp) -> None:
    """Add a stamp to its file. Raises ``CheckpointFileError``."""
    append_line(file, stamp.line)


def kept(file: str) -> Iterator[Stamp]:
    """The stamps of the file; a line that is none is left out."""
    try:
        with Path(file).open(encoding="utf-8", errors="replace") as handle:
            for line in handle:
                if found := _read(line):
                    yield found
    except FileNotFoundError:
        return


def _read(line: str) -> Stamp | None:
    try:
        told = json.loads(line)
        return Stamp(head_of(told), base64.b64decode(told["stamp"], validate=True))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
