"""The tags through which every page speaks."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError
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


class Broken:
    """Whose value is nothing that anybody thought of."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error


def test_a_part_that_breaks_says_so_and_what_stands_around_it_is_drawn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inner = "{% with x=1 %}in {{ b|visible }}{% endwith %}"
    source = "before {% part name %}" + inner + "{% endpart %} {{ x }}."

    html = render(source, b=Broken(RuntimeError("odd")), name="<Receipt>")

    assert html.startswith('before <p class="notice warn unshown">&lt;Receipt&gt;: this can')
    assert html.endswith("</p> .")
    assert "odd" in caplog.text
    assert render(source, b="it", name="x") == "before in it ."


def test_a_database_that_fails_is_no_part_s_trouble() -> None:
    with pytest.raises(OperationalError):
        render('{% part "x" %}{{ b|visible }}{% endpart %}', b=Broken(OperationalError()))


@pytest.mark.parametrize("value", ["", None, 7, "x", [], {}, Decimal("NaN")])
def test_no_tag_breaks_on_a_value_of_another_kind(value: object) -> None:
    for tag in ("ago", "at", "due", "duration", "money", "risk", "effect", "state"):
        assert render("{% " + tag + " v %}", v=value) is not None
    for name in ("visible", "exact", "pairs", "listed", "short_id"):
        assert render("{{ v|" + name + " }}", v=value) is not None


def test_a_text_without_measure_is_cut_and_says_so() -> None:
    html = render("{{ t|exact }}", t="\u202e" + "x" * 60_000)

    assert html.count("x") == 49_999
    assert "and 10,001 more characters, not shown here" in html
    assert "not shown" not in render("{{ t|visible }}", t="x" * 50_000)
    hiding = render("{{ t|exact }}", t="\u202ea" * 3_000)
    assert hiding.count("U+202E") == 2_000
    assert "and 2,001 more characters" in hiding


def test_a_value_is_shown_as_json() -> None:
    assert render("{{ v|exact }}", v=[True, None, {"a": 10**30}]) == (
        "[true,null,{&quot;a&quot;:1" + "0" * 30 + "}]"
    )


def test_what_ought_to_be_a_list_is_one() -> None:
    source = "{% for one in v|listed %}{{ one }};{% endfor %}"

    assert render(source, v=[1, 2]) == "1;2;"
    assert render(source, v=7) == "7;"
    assert render(source, v={"items": 1}) == "{&#x27;items&#x27;: 1};"
    assert render(source, v=None) == render(source, v="") == ""
