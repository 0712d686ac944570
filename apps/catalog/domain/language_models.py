"""A model of the catalog as people write it: where it is asked, by which name, with whose key, and
what it costs. The key itself never stands in it, and nothing but keys of models can be named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import urlsplit

from apps.catalog.domain.contract_schema import SLUG, choice, group
from apps.catalog.domain.endpoints import URL, url_problems
from apps.catalog.domain.entries import named, read_entry_text
from apps.catalog.domain.keys import OF_MODELS, KeyPlace, key_problems
from apps.kernel.documents import Document, Problem

CONFIGURED = "configured"  # what an agent may state for the installation's own model
RESERVED = f"“{CONFIGURED}” is what agents call the installation's own model."
_USD = {"type": "number", "minimum": 0, "maximum": 100_000}
MODEL: dict[str, Any] = group(
    {
        "slug": SLUG,
        "name": {"type": "string", "minLength": 1, "maxLength": 120},
        "provider": choice("openai"),
        "url": URL,
        "model": {"type": "string", "minLength": 1, "maxLength": 160},
        "output": choice("tools", "json"),
        "key": OF_MODELS.shape,
        "prices": group(
            {"input_usd_per_million": _USD, "output_usd_per_million": _USD},
            "input_usd_per_million",
            "output_usd_per_million",
        ),
        "max_output_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
        "timeout_s": {"type": "number", "exclusiveMinimum": 0, "maximum": 600},
    },
    "slug",
    "name",
    "provider",
    "url",
    "model",
)


def secret_in(text: str) -> str:
    """Why a text may not be kept: something in it looks like a key. Empty if it may."""
    return OF_MODELS.secret_in(text)


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens: the same figure as millionths of a dollar per token."""

    input_usd: Decimal
    output_usd: Decimal

    def microusd(self, tokens_in: int, tokens_out: int) -> int:
        """What so many tokens cost, in millionths of a dollar."""
        whole = self.input_usd * tokens_in + self.output_usd * tokens_out
        return int(whole.to_integral_value(rounding=ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class ModelTerms:
    """A version of a model: all that asking it takes, but for what the key is."""

    slug: str
    number: int
    name: str
    url: str
    model: str
    output: str = "tools"
    key_env: str = ""
    key_file: str = ""
    prices: Prices | None = None
    max_output_tokens: int | None = None
    timeout_s: float | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def key(self) -> KeyPlace:
        return KeyPlace(self.key_env, self.key_file)


def terms_of(document: Mapping[str, Any], number: int) -> ModelTerms:
    """What a published version says."""
    key, prices, wait = (document.get(name) for name in ("key", "prices", "timeout_s"))
    return ModelTerms(
        slug=document["slug"],
        number=number,
        name=document["name"],
        url=document["url"],
        model=document["model"],
        output=document.get("output", "tools"),
        key_env=(key or {}).get("env", ""),
        key_file=(key or {}).get("file", ""),
        prices=_prices(prices) if prices else None,
        max_output_tokens=document.get("max_output_tokens"),
        timeout_s=None if wait is None else float(wait),
    )


def _prices(stated: Mapping[str, Any]) -> Prices:
    told, said = stated["input_usd_per_million"], stated["output_usd_per_million"]
    return Prices(Decimal(str(told)), Decimal(str(said)))


def parse_model(text: str, *, slug: str) -> tuple[dict[str, Any] | None, list[Problem]]:
    """A model's entry; None where anything is an error."""
    source, problems = read_model(text)
    if not problems:
        problems = named(source, "slug", slug)
    return (None if problems else source.value), problems


def read_model(text: str) -> tuple[Document, list[Problem]]:
    """A text with one model, and all that is wrong with it, whichever model it is about."""
    if why := secret_in(text):
        return Document(None), [Problem(why, OF_MODELS.fix, "key")]
    source, problems = read_entry_text(text, MODEL)
    if not problems:
        problems = [*_slug_problems(source), *url_problems(source), *key_problems(source)]
    return source, problems


def _slug_problems(source: Document) -> list[Problem]:
    is_odd = source.value["slug"] == CONFIGURED
    return [source.problem(("slug",), RESERVED, "Choose another.")] if is_odd else []
