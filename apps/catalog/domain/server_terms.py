"""Every field of a tool server's document: who makes it true, and what proves it.

See ``documents.domain.terms``.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.documents.domain.terms import ChangeClass, Enforced

README = "docs/tool-servers.md"
_CALLED = (
    "catalog/adapters/test_addresses.py"
    "::test_a_document_says_where_a_server_is_where_no_operator_does"
)

ENFORCED: Mapping[str, Enforced] = {
    "slug": Enforced(
        "apps.catalog.adapters.addresses.look_up", _CALLED, README, ChangeClass.NEUTRAL
    ),
    "url": Enforced("apps.catalog.adapters.addresses.look_up", _CALLED, README, ChangeClass.WEAKER),
    "key.env": Enforced(
        "apps.catalog.adapters.addresses.resolve",
        "catalog/adapters/test_addresses.py"
        "::test_a_documents_key_is_read_where_it_says_and_nowhere_else",
        README,
        ChangeClass.WEAKER,
    ),
    "key.file": Enforced(
        "apps.catalog.adapters.addresses.resolve",
        "catalog/adapters/test_addresses.py"
        "::test_a_documents_key_is_read_where_it_says_and_nowhere_else",
        README,
        ChangeClass.WEAKER,
    ),
}

TOLD = frozenset({"name"})
