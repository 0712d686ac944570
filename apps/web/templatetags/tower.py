"""The words of the pages: the only way to print a state, a risk, a moment or untrusted text."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from django import template
from django.db import DatabaseError
from django.template.base import FilterExpression, Node, NodeList, Parser, Token
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString

from apps.audit.domain.actors import Actor
from apps.kernel import exactjson
from apps.web.domain import quantities, untrusted, words
from apps.web.domain.quantities import DASH

log = logging.getLogger(__name__)
register = template.Library()
MOST_SHOWN = 50_000  # characters of one text from outside; a page has many
MOST_MARKS = 2_000  # of them that hide, each of which is a chip


class PartNode(Node):
    """A part of a page that shows what came from outside: see ``part``."""

    def __init__(self, name: FilterExpression, nodelist: NodeList) -> None:
        self.name = name
        self.nodelist = nodelist

    def render(self, context: template.Context) -> SafeString:
        """What stands in it, or a sentence that it can't be shown."""
        try:
            with context.push():
                return self.nodelist.render(context)
        except DatabaseError:  # is told for the whole page: nothing of it could be read
            raise
        except Exception:
            name = self.name.resolve(context)
            log.exception("a part of a page can't be shown: %s", name)
            return format_html(
                '<p class="notice warn unshown">{}: this can\'t be shown, since what is kept of it'
                " can't be read. The rest of the page holds.</p>",
                name,
            )


@register.tag
def part(parser: Parser, token: Token) -> PartNode:
    """``{% part "Receipt" %}…{% endpart %}``: whatever goes wrong within, the rest of the page is
    drawn and every decision on it stays possible; it is logged, and the reader is told."""
    name = parser.compile_filter(token.split_contents()[1])
    nodelist = parser.parse(("endpart",))
    parser.delete_first_token()
    return PartNode(name, nodelist)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of our sprite: decoration unless it is given a label."""
    href = f"{static('icons/sprite.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}"/></svg>', label, href
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"/></svg>', href)


@register.simple_tag
def state(value: Any, title: str = "") -> SafeString:
    """A state as icon, word and shape; nothing for no state."""
    if not value:
        return SafeString("")
    look = words.state_look(str(value))
    return format_html(
        '<span class="st" data-s="{}" data-look="{}" title="{}">{}{}</span>',
        value,
        look.look,
        title,
        icon(look.icon),
        look.word,
    )


@register.filter
def state_word(value: Any) -> str:
    """The word of a state, for sentences, options and titles."""
    return words.state_look(str(value)).word


@register.filter
def state_css(value: Any) -> str:
    """The name of a state's look, for bars of a timeline (``data-look``)."""
    return words.state_look(str(value)).look


@register.simple_tag
def risk(level: int) -> SafeString:
    """Rising bars and a word."""
    level = min(max(level, 1), 4) if isinstance(level, int) else 1
    return format_html(
        '<span class="risk" data-r="{}"><span class="bars" aria-hidden="true">'
        "<i></i><i></i><i></i><i></i></span>{}</span>",
        level,
        words.RISKS[level],
    )


@register.simple_tag
def effect(value: str) -> SafeString:
    """What a tool does to the world."""
    look = words.EFFECTS.get(str(value))
    if look is None:
        return format_html('<span class="chip">{}</span>', value)
    return format_html('<span class="chip {}">{}{}</span>', look.look, icon(look.icon), look.word)


def _absolute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@register.simple_tag
def ago(moment: datetime | None) -> SafeString:
    """How long ago, kept fresh by app.js; the exact moment is in ``datetime`` and on hover."""
    if not isinstance(moment, datetime):
        return format_html('<span class="sub">{}</span>', DASH)
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        moment.isoformat(),
        _absolute(moment),
        quantities.ago_words(timezone.now() - moment),
    )


@register.simple_tag
def at(moment: datetime | None) -> SafeString:
    """An exact moment, shown in the reader's own zone by app.js and in UTC without it."""
    if not isinstance(moment, datetime):
        return format_html('<span class="sub">{}</span>', DASH)
    return format_html(
        '<time datetime="{0}" title="{1}" data-at>{1}</time>',
        moment.isoformat(),
        _absolute(moment),
    )


@register.simple_tag
def due(moment: datetime | None, since: datetime | None = None) -> SafeString:
    """The time left; turns "soon" at a fifth of the window (from ``since``) or two minutes."""
    if not isinstance(moment, datetime):
        return format_html('<span class="sub">{}</span>', DASH)
    window = moment - since if since else timedelta(0)
    left = moment - timezone.now()
    return format_html(
        '<time class="due" datetime="{}" title="{}" data-due data-window="{}" data-u="{}">'
        "{}</time>",
        moment.isoformat(),
        _absolute(moment),
        int(window.total_seconds()),
        quantities.urgency(left, window),
        quantities.due_words(left),
    )


@register.simple_tag
def duration(seconds: float | timedelta | None) -> str:
    """``1 m 04 s``; a dash for none."""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if not isinstance(seconds, int | float) or not isfinite(seconds):
        return DASH
    return quantities.duration_words(float(seconds))


@register.simple_tag
def money(cents: int | None) -> SafeString:
    """Cents as money, exact."""
    if not isinstance(cents, int):
        return format_html('<span class="sub">{}</span>', DASH)
    return format_html('<span class="num nowrap">{}</span>', quantities.money_words(int(cents)))


def _shown(value: Any, keep: str) -> SafeString:
    text = _text(value)
    left, marks, html = len(text), 0, list[str]()
    for piece in untrusted.pieces(text[:MOST_SHOWN], keep=keep):
        if marks == MOST_MARKS:
            break
        marks += piece.is_mark
        left -= 1 if piece.is_mark else len(piece.text)
        html.append(_mark(piece) if piece.is_mark else conditional_escape(piece.text))
    if left > 0:
        html.append(f'<span class="sub cut">… and {left:,} more characters, not shown here</span>')
    return SafeString("".join(html))


def _mark(piece: untrusted.TextPiece) -> SafeString:
    return format_html('<span class="ctl" title="{}">{}</span>', piece.name, piece.text)


def _text(value: Any) -> str:
    """A value as text: JSON for what is more than a text, so that it reads as it came."""
    if isinstance(value, bool | int | float | Decimal | Mapping | list | tuple):
        try:
            return exactjson.dumps(value)
        except TypeError:  # no JSON value, so it isn't from outside either
            return str(value)
    return str(value if value is not None else "")


@register.filter
def visible(value: Any) -> SafeString:
    """Untrusted prose: line ends and tabs stay, everything that hides becomes a chip. What is very
    long is cut, and says so."""
    return _shown(_text(value).replace("\r\n", "\n"), "\n\t")


@register.filter
def who(stored: Any) -> str:
    """The one name of an actor, whichever release stored it."""
    return Actor.parse(_text(stored)).shown


@register.filter
def exact(value: Any) -> SafeString:
    """An untrusted value, character by character: even a line end is shown. What is very long is
    cut, and says so."""
    return _shown(value, "")


@register.filter
def listed(value: Any) -> list[Any]:
    """What is kept as a list; one entry for what ought to be one, none for nothing."""
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value in (None, "") else [value]


@register.filter
def pairs(value: Any) -> list[tuple[Any, Any]]:
    """Names and values of a mapping. In a template ``mapping.items`` is the value of a key of that
    name, if there is one, and names come from outside."""
    return list(value.items()) if isinstance(value, Mapping) else []


@register.filter
def short_id(value: Any) -> str:
    """The last eight characters of an identifier: the random part of a UUIDv7."""
    return str(value)[-8:]


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """The page's query string with some fields changed; ``None`` takes a field out."""
    params = context["request"].GET.copy()
    for name, value in changes.items():
        if value is None or value == "":
            params.pop(name, None)
        else:
            params[name] = str(value)
    return f"?{params.urlencode()}"


@register.simple_tag
def posts(name: str, *args: Any) -> str:
    """Attributes of a form that posts to a view and stays on the page when that says no: the answer
    is told in the form's element ``.told``, beside what was typed."""
    return format_html(
        'method="post" action="{0}" hx-post="{0}" hx-target="find .told" hx-swap="innerHTML"'
        ' hx-sync="this:drop" hx-disabled-elt="find button" hx-disinherit="*"',
        reverse(name, args=args),
    )
