"""What people and packs do to the catalog."""

from __future__ import annotations

from apps.catalog.services.applying import Applied, Report, apply_packs
from apps.catalog.services.reading import PackError

__all__ = ["Applied", "PackError", "Report", "apply_packs"]
