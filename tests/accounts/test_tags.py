"""The tags through which every page speaks."""

from __future__ import annotations

from datetime import timedelta

from django.template import Context, Template
from django.utils import timezone


def render(source: str, **context: object) -> str:
    return Template(source).render(Context(context))


def test_state_is_icon_word_and_look() -> None:
    html = render("{% state s %}", s="confirmation_unknown")

    assert "Confirmation unknown" in html
    assert 'data-look="unknown"' in html
    assert "#st-unknown" in html
    assert render("{% state s %}", s="") == ""


def test_an_unknown_state_is_shown_as_it_is_and_escaped() -> None:
    assert "&lt;b&gt;" in render("{% state s %}", s="<b>")


def test_risk_is_bars_and_a_word() -> None:
    html = render("{% risk 3 %}")

    assert 'data-r="3"' in html
    assert "High" in html


def test_pairs_are_those_of_the_mapping_whatever_its_keys_are_called() -> None:
    source = "{% for name, value in m|pairs %}{{ name }}={{ value }};{% endfor %}"

    assert render(source, m={"items": 1, "keys": 2}) == "items=1;keys=2;"
    assert render(source, m=[1]) == render(source, m=None) == ""


def test_untrusted_text_is_escaped_and_its_tricks_are_shown() -> None:
    html = render("{{ t|visible }}", t="<img onerror=x>\u202e\u200b\nnext")

    assert html == (
        "&lt;img onerror=x&gt;"
        '<span class="ctl" title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>'
        '<span class="ctl" title="ZERO WIDTH SPACE">U+200B</span>'
        "\nnext"
    )
    assert "U+000A" in render("{{ t|exact }}", t="a\nb")
    assert render("{{ t|visible }}", t=None) == ""


def test_moments_carry_the_exact_time() -> None:
    moment = timezone.now() - timedelta(minutes=5)

    for source in ("{% ago m %}", "{% at m %}", "{% due m %}"):
        assert f'datetime="{moment.isoformat()}"' in render(source, m=moment)
    assert "5 min ago" in render("{% ago m %}", m=moment)
    assert "overdue 5 min" in render("{% due m %}", m=moment)
    assert "—" in render("{% ago m %}", m=None)


def test_money_duration_and_effect() -> None:
    assert "$1,240.00" in render("{% money 124000 %}")
    assert "—" in render("{% money m %}", m=None)
    assert render("{% duration s %}", s=64) == "1 m 04 s"
    assert "Irreversible" in render("{% effect e %}", e="irreversible")
    assert "odd" in render("{% effect e %}", e="odd")
