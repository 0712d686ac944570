"""Where a live agent's model is asked: one resolver with one order for everybody.

A name that the agent's version pins is the catalog's: address, key and prices are those of the
model's version. Every other name is the provider's own at the address that the installation is set
up with (``TOWER_MODEL_URL``, ``TOWER_MODEL_KEY``), and no name at all is ``TOWER_MODEL``.

A document names where a key is read, and only keys of models can be named: variables that begin
with ``TOWER_MODEL_KEY_``, and files in the folder ``TOWER_MODEL_KEYS``. The hosts that documents
may lead to are the installation's word, too (``TOWER_CATALOG_HOSTS``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.conf import settings

from apps.catalog.adapters.addresses import ServerAccess
from apps.catalog.adapters.hosts import by_name, permitted
from apps.catalog.adapters.keys import KeyTroubleError, read_key
from apps.catalog.domain.keys import OF_MODELS
from apps.catalog.domain.language_models import CONFIGURED, ModelTerms, Prices
from apps.catalog.domain.servers import Source
from apps.catalog.selectors import current_models, pinned
from apps.catalog.selectors.pinned import AskedModels
from apps.kernel.errors import UnavailableError


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
        return by_name(self.connection.redacted(text)) if self.connection else text


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
    what = f"The model “{terms.slug}” v{terms.number}"
    address = permitted(what, terms.slug, terms.url, source=Source.PACK, code="model_blocked")
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


def _key(terms: ModelTerms) -> str:
    try:
        return read_key(terms.key, OF_MODELS, settings.MODEL_KEYS)
    except KeyTroubleError as error:
        raise UnavailableError(
            f"The model “{terms.slug}” v{terms.number} can't be asked: {error}. Set it for every"
            " process of the tower.",
            code="model_key",
        ) from None
