"""How people speak at the practice companies, which are in the United States."""

from __future__ import annotations

import re
from datetime import date

from apps.evidence.domain.readers import Reader


def _month_first(day: date) -> tuple[str, str]:
    return f"{day.month}/{day.day}", f"{day.month:02}/{day.day:02}"


READER = Reader(
    "practice",
    dates=_month_first,
    # Spoken of in other words, or of no concern to the customer.
    unspoken=re.compile(r"(^|_)(user|payment|payment_method|payment_methods)_?(id)?$|item_ids$"),
    known=frozenset({"usa"}),
)
