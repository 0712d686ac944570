"""A text is read or refused, whatever it is."""

from __future__ import annotations

import pytest

from apps.kernel.documents import load
from apps.kernel.patching import patch


@pytest.mark.parametrize("escape", ["\\UFFFFFFFF", "\\U00110000"])
def test_an_escape_that_names_no_character_is_refused(escape: str) -> None:
    found = load(f'a: "{escape}"')

    assert found.value is None
    assert [p.message for p in found.problems] == ["An escape in it names no character."]
    with pytest.raises(ValueError, match="isn't YAML at the moment"):
        patch(f'a: "{escape}"', ("a",), "b")
