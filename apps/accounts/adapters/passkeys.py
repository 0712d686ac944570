"""Passkeys (WebAuthn level 2), verified by python-fido2. User verification is always required, so
that one passkey is two factors: the device, and the finger, face or PIN that opens it.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

log = logging.getLogger(__name__)
NAME = "Control Tower"
SIGNED = ("clientDataJSON", "authenticatorData", "signature")


class RefusedPasskeyError(Exception):
    """What the browser sent proves nothing; the reason is in the log."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Where a ceremony takes place: the name that passkeys are bound to, and the pages' origins."""

    host: str
    origins: tuple[str, ...]

    @property
    def has_a_name(self) -> bool:
        """WebAuthn knows names only: at an IP address there are no passkeys."""
        try:
            ipaddress.ip_address(self.host.strip("[]"))
        except ValueError:
            return bool(self.host)
        return False


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A passkey that was made: what of it is kept."""

    credential_id: str
    data: bytes
    sign_count: int


def begin_making(
    site: RelyingParty, *, handle: bytes, username: str, name: str, known: Sequence[bytes]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the browser is asked for, and what of it has to be kept until the answer."""
    webauthn = _fido2("webauthn")
    options, state = _server(site).register_begin(
        webauthn.PublicKeyCredentialUserEntity(id=handle, name=username, display_name=name),
        credentials=_credentials(known),
        resident_key_requirement=webauthn.ResidentKeyRequirement.REQUIRED,
        user_verification=webauthn.UserVerificationRequirement.REQUIRED,
    )
    return dict(options), state


def finish_making(site: RelyingParty, state: Any, answer: Any) -> NewPasskey:
    """Raises ``RefusedPasskeyError``."""
    try:
        found = _server(site).register_complete(state, answer)
        credential = found.credential_data
        return NewPasskey(_text(credential.credential_id), bytes(credential), found.counter)
    except Exception as error:  # whatever a hostile answer makes the library raise
        raise _refused(error) from error


def begin_asking(
    site: RelyingParty, known: Sequence[bytes] | None, *, challenge: bytes | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same for somebody who shows a passkey: one of ``known``, or any if that is ``None``."""
    webauthn = _fido2("webauthn")
    options, state = _server(site).authenticate_begin(
        credentials=None if known is None else _credentials(known),
        user_verification=webauthn.UserVerificationRequirement.REQUIRED,
        challenge=challenge,
    )
    return dict(options), state


def state_of(site: RelyingParty, challenge: bytes) -> dict[str, Any]:
    """What ``finish_asking`` needs of a question that was asked with this challenge."""
    return begin_asking(site, None, challenge=challenge)[1]


def id_of(answer: Any) -> str:
    """Which passkey an answer claims to be of; nothing if it names none."""
    found = answer.get("rawId") if isinstance(answer, dict) else None
    return found if isinstance(found, str) else ""


def finish_asking(site: RelyingParty, state: Any, data: bytes, answer: Any) -> int:
    """Its count of signatures, once this passkey signed this challenge here. Raises
    ``RefusedPasskeyError``."""
    try:
        webauthn = _fido2("webauthn")
        _server(site).authenticate_complete(state, _credentials([data]), answer)
        read = webauthn.AuthenticationResponse.from_dict(answer)
        return int(read.response.authenticator_data.counter)
    except Exception as error:  # whatever a hostile answer makes the library raise
        raise _refused(error) from error


def proof_of(answer: Any) -> dict[str, str]:
    """What of an accepted answer proves later what was signed; see ``is_signed``."""
    said = answer["response"]
    return {name: str(said[name]) for name in SIGNED}


def is_signed(host: str, data: bytes, challenge: bytes, proof: Any) -> bool:
    """Whether this passkey of ``host`` signed ``challenge``, by what was kept of its answer. Its
    person was verified; on which page was looked at when the answer came."""
    if not isinstance(proof, dict):
        return False
    credential = _credentials([data])[0]
    name = _text(credential.credential_id)
    answer = {"id": name, "rawId": name, "type": "public-key", "response": proof}
    try:
        site = RelyingParty(host, ())
        server = _server(site, any_origin=True)
        server.authenticate_complete(state_of(site, challenge), [credential], answer)
    except Exception:  # whatever is stored there makes the library raise
        log.warning("what a passkey signed does not fit what is stored", exc_info=True)
        return False
    return True


def _fido2(module: str) -> Any:
    """A module of the library, imported when it is first used: no worker ever needs it."""
    return import_module(f"fido2.{module}")


def _server(site: RelyingParty, *, any_origin: bool = False) -> Any:
    entity = _fido2("webauthn").PublicKeyCredentialRpEntity(id=site.host, name=NAME)

    def is_ours(origin: str) -> bool:
        return any_origin or origin in site.origins

    return _fido2("server").Fido2Server(entity, verify_origin=is_ours)


def _credentials(datas: Sequence[bytes]) -> list[Any]:
    read = _fido2("webauthn").AttestedCredentialData
    return [read(bytes(data)) for data in datas]


def _text(raw: bytes) -> str:
    return str(_fido2("utils").websafe_encode(raw))


def _refused(error: Exception) -> RefusedPasskeyError:
    log.warning("a passkey was refused: %s: %.200s", type(error).__name__, error)
    return RefusedPasskeyError("This passkey was not accepted.")
