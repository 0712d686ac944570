"""A device with a passkey, made of software: it signs what a browser would have it sign."""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestedCredentialData, AuthenticatorData, CollectedClientData

from apps.accounts.adapters.passkeys import RelyingParty
from apps.accounts.models import Passkey, User
from apps.accounts.services.factors import ShownPasskey

HOST, ORIGIN = "tower.example", "https://tower.example"
SITE = RelyingParty(HOST, (ORIGIN,))
FLAG = AuthenticatorData.FLAG
VERIFIED = FLAG.UP | FLAG.UV


class Device:
    """The device of one person; its passkey is kept as the page of how they log in keeps it."""

    def __init__(self, user: User, *, host: str = HOST) -> None:
        self.count, self.host = 0, host
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = hashlib.sha256(f"{user.pk} {id(self)}".encode()).digest()
        public = ES256.from_cryptography_key(self._key.public_key())
        data = AttestedCredentialData.create(b"\0" * 16, self.credential_id, public)
        name = websafe_encode(self.credential_id)
        self.row = Passkey.objects.create(
            user=user, name="Laptop", host=host, credential_id=name, data=bytes(data)
        )

    def answer(
        self, challenge: bytes, *, origin: str = ORIGIN, flags: FLAG = VERIFIED, what: str = "get"
    ) -> dict[str, Any]:
        """What the browser says when this device signed ``challenge``."""
        self.count += 1
        host = hashlib.sha256(self.host.encode()).digest()
        data = AuthenticatorData.create(host, flags, self.count)
        client = CollectedClientData.create(f"webauthn.{what}", challenge, origin)
        signature = self._key.sign(data + client.hash, ec.ECDSA(hashes.SHA256()))
        name = websafe_encode(self.credential_id)
        parts = {"authenticatorData": data, "clientDataJSON": client, "signature": signature}
        said = {part: websafe_encode(bytes(value)) for part, value in parts.items()}
        return {"id": name, "rawId": name, "type": "public-key", "response": said}

    def shown(self, challenge: bytes, **changes: Any) -> ShownPasskey:
        return ShownPasskey(SITE, self.answer(challenge, **changes))
