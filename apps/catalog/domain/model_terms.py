"""Every field of a model's document: who makes it true, and what proves it.

See ``documents.domain.terms``.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.documents.domain.terms import ChangeClass, Enforced

README = "docs/models.md"
_ASKED = (
    "engine/test_catalog_models.py"
    "::test_a_model_is_asked_at_its_address_by_its_name_with_its_key_and_costs_its_price"
)
_FILES = "catalog/adapters/test_models.py::test_a_key_file_is_read_in_its_folder_only"

ENFORCED: Mapping[str, Enforced] = {
    "slug": Enforced("apps.catalog.adapters.models.reach", _ASKED, README, ChangeClass.NEUTRAL),
    "provider": Enforced(
        "apps.catalog.domain.language_models.parse_model",
        "catalog/domain/test_language_models.py::test_what_is_wrong_is_said",
        README,
        ChangeClass.WEAKER,
    ),
    "url": Enforced("apps.calls.agents.think", _ASKED, README, ChangeClass.WEAKER),
    "model": Enforced("apps.calls.agents.think", _ASKED, README, ChangeClass.WEAKER),
    "output": Enforced(
        "apps.calls.agents.think",
        "engine/test_catalog_models.py"
        "::test_a_model_that_cannot_speak_tools_stands_beside_one_that_can",
        README,
        ChangeClass.WEAKER,
    ),
    "key.env": Enforced("apps.catalog.adapters.models.reach", _ASKED, README, ChangeClass.WEAKER),
    "key.file": Enforced("apps.catalog.adapters.models.reach", _FILES, README, ChangeClass.WEAKER),
    "prices.input_usd_per_million": Enforced(
        "apps.catalog.domain.language_models.Prices", _ASKED, README
    ),
    "prices.output_usd_per_million": Enforced(
        "apps.catalog.domain.language_models.Prices", _ASKED, README
    ),
    "max_output_tokens": Enforced("apps.calls.agents.think", _ASKED, README),
    "timeout_s": Enforced(
        "apps.calls.agents.think",
        "engine/test_catalog_models.py"
        "::test_a_silent_model_takes_no_longer_than_its_document_allows",
        README,
    ),
}

TOLD = frozenset({"name"})
