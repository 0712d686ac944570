"""Every state has a word, an icon, a shape and enough contrast, in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apps.oversight.models import Approval
from apps.runs.domain.states import State
from apps.web.domain import words

ROOT = Path(__file__).resolve().parents[2]
TOKENS = (ROOT / "static/css/tokens.css").read_text()
CSS = (ROOT / "static/css/app.css").read_text()
SPRITE = (ROOT / "static/icons/sprite.svg").read_text()
EVERY_STATE = [*State, *Approval.State.values]
NEEDS_A_PERSON = {"waiting", "failed", "unknown"}
TEXT, GRAPHIC = 4.5, 3.0

PAIR = re.compile(r"--([\w-]+):\s*light-dark\((#[0-9A-Fa-f]{6}),\s*(#[0-9A-Fa-f]{6})\)")
COLOURS = {name: (light, dark) for name, light, dark in PAIR.findall(TOKENS)}
LOOKS = sorted({look.look for look in words.STATES.values()})


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("state", EVERY_STATE)
def test_every_state_has_word_icon_and_look(state: str) -> None:
    look = words.STATES[str(state)]

    assert look.word
    assert f'id="{look.icon}"' in SPRITE
    assert f"[data-look={look.look}]" in CSS


def test_no_two_states_of_a_run_share_icon_and_word() -> None:
    shown = [(words.STATES[s].icon, words.STATES[s].word) for s in State]

    assert len(set(shown)) == len(shown)
    assert len({icon for icon, _ in shown}) == len(shown)


@pytest.mark.parametrize("name", sorted(words.STATES))
def test_every_word_of_the_table_can_be_drawn(name: str) -> None:
    look = words.STATES[name]

    assert f'id="{look.icon}"' in SPRITE
    assert f"[data-look={look.look}]" in CSS


def rule(look: str) -> str:
    found = re.search(rf"&\[data-look={look}\] \{{([^}}]*)\}}", CSS)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("look", LOOKS)
def test_what_needs_a_person_is_square_and_nothing_else_is(look: str) -> None:
    assert ("border-radius" in rule(look)) == (look in NEEDS_A_PERSON)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("look", LOOKS)
def test_the_word_of_a_state_can_be_read(look: str, mode: int) -> None:
    text = re.search(r"--f: var\(--([\w-]+)\)", rule(look))
    ground = re.search(r"--g: var\(--([\w-]+)\)", rule(look))
    assert text is not None
    assert ground is not None

    assert contrast(COLOURS[text[1]][mode], COLOURS[ground[1]][mode]) >= TEXT


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        *(
            (text, ground, TEXT)
            for text in ("text", "muted", "accent")
            for ground in ("bg", "surface", "surface-2")
        ),
        *((text, "select", TEXT) for text in ("text", "muted", "accent")),
        *(
            (text, ground, TEXT)
            for text in ("warn-f", "bad-f", "good-f", "strange-f")
            for ground in ("bg", "surface", "surface-2")
        ),
        *((f"{hue}-f", f"{hue}-g", TEXT) for hue in ("warn", "bad", "good", "strange")),
        *(("text", f"{hue}-g", TEXT) for hue in ("warn", "bad", "good", "strange")),
        ("on-accent", "accent", TEXT),
        ("on-danger", "danger", TEXT),
        ("waiting-f", "waiting-g", TEXT),
        *(("line-strong", ground, GRAPHIC) for ground in ("bg", "surface")),
        *(("focus", ground, GRAPHIC) for ground in ("bg", "surface", "surface-2", "select")),
        *((f"series-{n}", "surface", GRAPHIC) for n in range(1, 7)),
    ],
)
def test_tokens_have_contrast(front: str, back: str, least: float, mode: int) -> None:
    assert contrast(COLOURS[front][mode], COLOURS[back][mode]) >= least


def test_every_icon_that_a_template_names_exists() -> None:
    used = {
        name
        for path in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r'{%\s*icon "([\w-]+)"', path.read_text())
    }

    assert {name for name in used if f'id="{name}"' not in SPRITE} == set()


def test_states_are_printed_by_the_tag_only() -> None:
    """A page that prints ``run.state`` bare would lose icon and shape."""
    bare = re.compile(r">\s*{{\s*(run|step|approval|a)\.state\s*}}")
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "templates").rglob("*.html")
        if bare.search(path.read_text())
    ]

    assert found == []
