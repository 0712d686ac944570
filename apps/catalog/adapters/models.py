"""Where a live agent's model is asked: one resolver with one order for everybody.

A name that the agent's version pins is the catalog's: address, key and prices are those of the
model's version. Every other name is the provider's own at the address that the installation is set
up with (``TOWER_MODEL_URL``, ``TOWER_MODEL_KEY``), and no name at all is ``TOWER_MODEL``.

A document names where a key is read, and only keys of models can be named: variables that begin
with ``TOWER_MODEL_KEY_``, and files in the folder ``TOWER_MODEL_KEYS``. The hosts that documents
may lead to are the installation's word, too (``TOWER_CATALOG_HOSTS``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from apps.catalog.adapters.addresses import MAX_SECRET_FILE, ServerAccess
from apps.catalog.domain.language_models import (
    CONFIGURED,
    KEY_FILE,
    KEY_VARIABLE,
    ModelTerms,
    Prices,
    address_of,
)
from apps.catalog.domain.servers import EntryError, secret_problem
from apps.catalog.selectors import current_models, pinned
from apps.catalog.selectors.pinned import AskedModels
from apps.kernel.errors import UnavailableError

HOSTS_VARIABLE = "TOWER_CATALOG_HOSTS"


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """What asking one model takes. ``name`` is how the agent knows it, ``asked_as`` how its
    provider does. ``connection`` says where it may be reached; none for the installation's own,
    whose address the installation itself states."""

    name: str
    asked_as: str
    url: str
    output: str
    key: str = field(default="", repr=False)
    terms: ModelTerms | None = None
    connection: ServerAccess | None = None

    @property
    def prices(self) -> Prices | None:
        return self.terms.prices if self.terms else None

    @property
    def label(self) -> str:
        """What people are told."""
        if self.terms is not None:
            return f"{self.terms.slug} v{self.terms.number}"
        return str(settings.MODEL_NAME or self.asked_as) if self._is_default else self.asked_as

    @property
    def _is_default(self) -> bool:
        return self.asked_as == settings.MODEL

    def redacted(self, text: str) -> str:
        """``text`` without the key, and with the variable that lists hosts called by its name."""
        return _of_hosts(self.connection.redacted(text)) if self.connection else text


def reach(name: str, known: Mapping[str, ModelTerms]) -> ModelAccess:
    """The model of this name. ``known``: those that the agent's version pins. Raises
    ``UnavailableError`` that says what to set. Asks no database: safe inside an event loop."""
    if name in known:
        return _of_catalog(known[name])
    if not (settings.MODEL and settings.MODEL_URL):
        raise UnavailableError(
            "No model is configured: set TOWER_MODEL, TOWER_MODEL_URL and TOWER_MODEL_KEY.",
            code="not_configured",
        )
    asked_as = settings.MODEL if name in {"", CONFIGURED} else name
    key = settings.MODEL_KEY
    return ModelAccess(name, asked_as, settings.MODEL_URL, settings.MODEL_OUTPUT, key)


def reach_first(asked: AskedModels) -> ModelAccess:
    """The first of these models that can be asked. Raises the ``UnavailableError`` of the agent's
    own if none can."""
    refused: UnavailableError | None = None
    for name in asked.names:
        try:
            return reach(name, asked.known)
        except UnavailableError as error:
            refused = refused or error
    assert refused is not None  # noqa: S101  # there is one name at least
    raise refused


def trouble_of(terms: ModelTerms) -> str:
    """Why this process can't ask a model of the catalog; empty if it can. Never the key."""
    try:
        _of_catalog(terms)
    except UnavailableError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class ModelStanding:
    """A model of the catalog. ``trouble``: why this process can't ask it."""

    terms: ModelTerms
    trouble: str


def model_standings() -> list[ModelStanding]:
    """Every published model, as this process could ask it."""
    found = [pinned.model_terms(pk) for pk in current_models()]
    return [ModelStanding(terms, trouble_of(terms)) for terms in found]


def _of_catalog(terms: ModelTerms) -> ModelAccess:
    try:
        address = address_of(terms.slug, terms.url, settings.CATALOG_HOSTS)
    except EntryError as error:
        raise _blocked(terms, str(error)) from None
    if not address.egress.may_name(address.host):
        raise _blocked(terms, f"{address.host} is not one of the hosts that “allow_hosts” lists.")
    key = _key(terms)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return ModelAccess(
        name=terms.slug,
        asked_as=terms.model,
        url=terms.url,
        output=terms.output,
        key=key,
        terms=terms,
        connection=ServerAccess(address, headers),
    )


def _blocked(terms: ModelTerms, why: str) -> UnavailableError:
    said = _of_hosts(why.partition(" If it is meant")[0])
    return UnavailableError(
        f"The model “{terms.slug}” v{terms.number} is blocked: {said} If it is meant, list it in"
        f" {HOSTS_VARIABLE} for every process of the tower.",
        code="model_blocked",
    )


def _of_hosts(text: str) -> str:
    return text.replace("“allow_hosts”", HOSTS_VARIABLE).replace('"allow_hosts"', HOSTS_VARIABLE)


def _key(terms: ModelTerms) -> str:
    if terms.key_env:
        return _variable(terms)
    return _file(terms) if terms.key_file else ""


def _variable(terms: ModelTerms) -> str:
    # Looked at again here: the row may be older than the rule, or not of our writing.
    if not re.fullmatch(KEY_VARIABLE, terms.key_env):
        raise _no_key(terms, f"{terms.key_env} is no variable that holds keys of models")
    value = os.environ.get(terms.key_env, "").strip()
    if why := secret_problem(value):
        why = "is not set" if terms.key_env not in os.environ else why
        raise _no_key(terms, f"its key is read from the variable {terms.key_env}, which {why}")
    return value


def _file(terms: ModelTerms) -> str:
    if not settings.MODEL_KEYS:
        raise _no_key(terms, "its key is read from a file, and TOWER_MODEL_KEYS names no folder")
    where = f"its key is read from the file {terms.key_file} in {settings.MODEL_KEYS}, which"
    if not re.fullmatch(KEY_FILE, terms.key_file):  # looked at again, as with variables
        raise _no_key(terms, f"{where} lies outside that folder")
    folder = Path(settings.MODEL_KEYS)
    try:
        path = (folder / terms.key_file).resolve()
        if not path.is_relative_to(folder.resolve()):  # a link may lead anywhere
            raise _no_key(terms, f"{where} lies outside that folder")
        if path.is_fifo():  # reading would wait for whoever writes
            raise _no_key(terms, f"{where} is a pipe")
        with open(path, "rb") as file:
            value = file.read(MAX_SECRET_FILE).decode("ascii").strip()
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "it leads nowhere"
        raise _no_key(terms, f"{where} can't be read ({why})") from None
    except UnicodeDecodeError:
        raise _no_key(terms, f"{where} is not text") from None
    if why := secret_problem(value):
        raise _no_key(terms, f"{where} {why}")
    return value


def _no_key(terms: ModelTerms, why: str) -> UnavailableError:
    return UnavailableError(
        f"The model “{terms.slug}” v{terms.number} can't be asked: {why}. Set it for every process"
        " of the tower.",
        code="model_key",
    )
