"""Which of several alike requests are far from the rest, so that nobody decides them with it.

Numbers (the amount, each numeric argument) are compared where five or more are known by the
modified z-score of Iglewicz and Hoaglin, *How to Detect and Handle Outliers* (ASQC, 1993):
``0.6745 · (x - median) / MAD``, MAD being the median of all distances from the median; beyond 3.5
it is an outlier. MAD is 0 where most values are the same, and then any other would be one: so the
spread counts as at least 5 % of the median. Fewer than five numbers have no spread to speak of:
there whatever differs from the median by more than half of it is an outlier.

Texts, and arguments that some requests lack, have no distance. Where three quarters or more (of at
least four) have the same, those that have another are outliers. Ids, of which each has its own, are
none. Whether a value is a number, a text or missing is compared likewise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext

CONSISTENCY = Decimal("0.6745")  # makes MAD the standard deviation of what is normal
FAR = Decimal("3.5")
FLOOR = Decimal("0.05")  # of the median: the least that counts as a spread
FEW = 5
SHARE_FEW = Decimal("0.5")  # of the median
LEAST_ALIKE = 4
MISSING = "not given"
NUMBER = "a number"
EXACT = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])

Fact = Decimal | str


@dataclass(frozen=True, slots=True)
class FarFact:
    """What of a request is far from the rest: which value it has, and what is usual."""

    name: str
    has: Fact
    usual: Fact


def outliers(rows: Sequence[Mapping[str, Fact]]) -> list[tuple[FarFact, ...]]:
    """For each request, named values in, what of it is far from the rest: nothing for one that may
    be decided with the others. The order of the requests is of no matter."""
    names = sorted({name for row in rows for name in row})
    found: list[list[FarFact]] = [[] for _ in rows]
    for name in names:
        values = [row.get(name, MISSING) for row in rows]
        for place, usual in (_other_kinds(values) | _far_numbers(values)).items():
            found[place].append(FarFact(name, values[place], usual))
    return [tuple(facts) for facts in found]


def _other_kinds(values: Sequence[Fact]) -> dict[int, Fact]:
    """Places of values that are not what most of them are, with that."""
    said = [NUMBER if isinstance(value, Decimal) else value for value in values]
    usual, number = Counter(said).most_common(1)[0]
    if len(said) < LEAST_ALIKE or 4 * number < 3 * len(said):
        return {}
    return {place: usual for place, value in enumerate(said) if value != usual}


def _far_numbers(values: Sequence[Fact]) -> dict[int, Fact]:
    """Places of numbers that are far from the others, with the median."""
    numbers = [value for value in values if isinstance(value, Decimal)]
    if not numbers:
        return {}
    with localcontext(EXACT):
        middle = _median(numbers)
        least = abs(middle) * (SHARE_FEW if len(numbers) < FEW else FLOOR)
        reach = least
        if len(numbers) >= FEW:
            spread = max(_median([abs(number - middle) for number in numbers]), least)
            reach = FAR * spread / CONSISTENCY
        return {
            place: middle
            for place, value in enumerate(values)
            if isinstance(value, Decimal) and not abs(value - middle) <= reach
        }


def _median(numbers: Sequence[Decimal]) -> Decimal:
    ordered, half = sorted(numbers), len(numbers) // 2
    return ordered[half] if len(numbers) % 2 else (ordered[half - 1] + ordered[half]) / 2
