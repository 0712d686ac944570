"""What the catalog says of tool servers."""

from __future__ import annotations

from apps.catalog.models import ToolServer


def urls() -> dict[str, str]:
    """The address that each server's pack states; servers without one are left out."""
    return dict(ToolServer.objects.exclude(url="").values_list("slug", "url"))
