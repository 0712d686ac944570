"""Which hosts documents of the catalog may lead to: the installation's word
(``TOWER_CATALOG_HOSTS``), never a document's own."""

from __future__ import annotations

from django.conf import settings

from apps.catalog.domain.endpoints import stated_address
from apps.catalog.domain.servers import EntryError, ServerAddress, Source
from apps.kernel.errors import UnavailableError

HOSTS_VARIABLE = "TOWER_CATALOG_HOSTS"


def permitted(what: str, slug: str, url: str, *, source: Source, code: str) -> ServerAddress:
    """The address that a document states, as far as it may be called. ``what`` names the document
    in the error. Raises ``UnavailableError`` that names the variable."""
    try:
        address = stated_address(slug, url, settings.CATALOG_HOSTS, source)
    except EntryError as error:
        raise _blocked(what, str(error), code) from None
    if not address.egress.may_name(address.host):
        why = f"{address.host} is not one of the hosts that “allow_hosts” lists."
        raise _blocked(what, why, code)
    return address


def _blocked(what: str, why: str, code: str) -> UnavailableError:
    said = by_name(why.partition(" If it is meant")[0])
    return UnavailableError(
        f"{what} is blocked: {said} If it is meant, list it in {HOSTS_VARIABLE} for every process"
        " of the tower.",
        code=code,
    )


def by_name(text: str) -> str:
    """``text`` with the variable called by its name, where the list of an entry is named."""
    return text.replace("“allow_hosts”", HOSTS_VARIABLE).replace('"allow_hosts"', HOSTS_VARIABLE)
