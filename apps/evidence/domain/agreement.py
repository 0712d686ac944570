"""Whether a customer's words agree to what the agent asked, in the languages of ``languages``.

Heuristics over untrusted words: doubt counts as no. A message in a language that isn't understood
never agrees, whatever words it borrows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from apps.evidence.domain.languages import ENGLISH, MOST_SIGNS, UNKNOWN, Language, language_of

MAX_DETAIL, MAX_DETAILS = 160, 2
RECENT = 12  # messages that tell a conversation's language

# At the start of a sentence, after nothing but a filler.
_SAYS_YES = re.compile(
    r"""^\W*((um+|uh+|oh|well|thanks|thank\ you|great|alright|all\ right|hi|hello|and|so|then|
             \d+)\W+)*
      (yes|yeah|yep|yup|yea|sure|okay|ok|absolutely|definitely|certainly|of\ course|agreed|correct|
       confirmed|confirming|perfect|exactly|proceed|please\ proceed|go\ ahead|
       i\ (confirm|agree|approve|accept))\b""",
    re.VERBOSE,
)
_TELLS_TO_PROCEED = re.compile(
    r"""\b(go\ ahead|please\ (proceed|do\ (it|so|that)|continue|finali[sz]e|complete)|
      proceed\ (with|now|as)|you\ (can|may)\ proceed|let's\ (do\ it|proceed|go)|
      i('m|\ am)\ (ok(ay)?|fine|happy|good)\ with|i('d|\ would)\ like\ to\ (proceed|go\ ahead)|
      (that|this|it|everything|all)('s|\ is|\ are)?\ (all\ )?(right|correct|fine|perfect)|
      (that|this|it|everything)\ (works|(sounds|looks)\ (good|great|fine|right|correct|perfect))|
      (sounds|looks)\ (good|great|fine|right|correct|perfect)|works\ for\ me|
      i\ (confirm|agree|approve|authori[sz]e)|i('ll|\ will)\ proceed)\b""",
    re.VERBOSE,
)
_REFUSES = re.compile(
    r"""^\W*(no|nope|nah)(\W*$|\s*[,.!;-]|\ (thanks|thank|i|please|that|it|this|not|don't|do)\b)|
      ^\W*(not\ (yet|now|really|exactly)|never\ ?mind|wait|hold\ on|stop)\b|
      \b(don't|do\ not)\ (proceed|go\ ahead|cancel|book|change|charge|process|agree|submit)\b|
      \b(don't|do\ not)\ want\ (to\ (proceed|cancel|book|change|do|pay)|that|it|this)\b|
      \bi('d|\ would)?\ (rather\ not|changed\ my\ mind)\b|
      \b(that|this|it)('s|\ is)\ (wrong|incorrect)\b|\bnot\ (correct|right|what\ i)\b""",
    re.VERBOSE,
)
_CONDITION = re.compile(
    r"""\b(but|if|unless|except|instead|before|as\ long\ as|provided|once\ you('ve|\ have)|
      i('d|\ would)\ (rather|prefer))\b""",
    re.VERBOSE,
)
_HALTS = re.compile(
    r"""^\W*((also|and|but)\W+)?(before\ (you|we|i|that|this|proceeding|finali[sz]ing|doing)|
      wait|hold\ on|first\b|actually|on\ second\ thought|but\ (first|only|can|could|what|wait|i)|
      i('d|\ would)\ (rather|prefer(?!\ to\ (pay|use)\b))|can\ (we|you)\ (change|use|instead)|
      only\ if)""",
    re.VERBOSE,
)
_WANTS_MORE = re.compile(
    r"""\?|\b(also|instead|rather|cancel|change|book|add|remove|upgrade|downgrade|return|exchange|
      modify|update|keep|different|another|other)\b""",
    re.VERBOSE,
)
_ASKS = re.compile(
    r"""\?|\b(confirm|proceed|go\ ahead|let\ me\ know|shall\ i|should\ i|would\ you\ like|
      do\ you\ want|please\ (reply|respond|say|type)|\(?yes(/|\ or\ )no\)?)\b""",
    re.VERBOSE,
)
_SENTENCE = re.compile(r"[^.!?\n;]+[.!?;]?")
# A yes that takes itself back in the same breath, and one that is meant the other way round.
_TAKES_BACK = re.compile(
    r"""\b(yes|yeah|yep|sure|ok|okay|well|hm+)\W+(no|nope|nah|not|never)\b(?!\ (problem|worries|
        other|more|changes?|need|further|additional|insurance|bags?))|
      ^\W*yeah,?\ right\W*$|\bas\ if\b|\bin\ your\ dreams\b|\bnot[.!]*$|
      \b(oh|yeah|sure),?\ (great|wonderful|fantastic|perfect),?\ (another|now|again|just\ what)\b|
      \b(confirm|agree\ to|approve|accept)\ (nothing|none|neither)\b|
      \bhaha\w*\b|\blol\b|(^|\s)/s\b|\U0001f644|
      \bi\ (do\ not|don't|can't|cannot|won't|refuse\ to|never)\ (confirm|agree|approve|accept)\b""",
    re.VERBOSE,
)
_BUT = re.compile(r"^\W*(but|unless|except|provided|as long as)\b")
# A no, a but or a wait in other languages than English. Words that English has, too, are not here.
_REFUSES_ELSEWHERE = re.compile(
    r"""(?<![\w-])(non|nein|neen|nej|nie|não|nao|nem|hayir|ikke|inte|ekki|tidak|
      nicht|niet|pas|jamais|nunca|niemals|nooit|pero|mais|aber|maar|però|sondern|espere|espera|
      attendez|attends|warten|warte|aspett[ia]|wacht|czekaj|không|bukan|falls|wenn|tenzij|sauf|
      salvo|excepto|plutôt|d'abord)(?![\w-])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What was made of the customer's last words: whether they agree, whether they were
    understood, and the language that they seem to be in."""

    agrees: bool
    understood: bool
    language: str


def heard_answer(heard: Sequence[str]) -> Heard:
    """Read the customer's words, oldest first."""
    last = _language(heard[-1], _spoken(heard)) if heard else ENGLISH
    return Heard(agreed(heard), last.understood, last.name)


def asks(words: str) -> bool:
    """Whether these words of the agent ask for a yes."""
    language = language_of(words) or ENGLISH
    return bool(_ASKS.search(words)) or (
        language.understood and bool(language.asks_for_an_answer.search(words))
    )


def agreed(heard: Sequence[str]) -> bool:
    """Whether the customer's last words agree, or only supply a detail that was asked for after an
    agreement: naming the card to use doesn't take a yes back."""
    spoken = _spoken(heard)
    for words in reversed(heard[-1 - MAX_DETAILS :]):
        if agrees(words, spoken):
            return True
        if not _only_a_detail(words, _language(words, spoken)):
            return False
    return False


def _spoken(heard: Sequence[str]) -> Language:
    """The language of a conversation; English as long as nothing tells."""
    return language_of("\n".join(heard[-RECENT:])[-MOST_SIGNS:]) or ENGLISH


def _language(words: str, spoken: Language) -> Language:
    """The language of one message. One that is too short to tell is in the conversation's; so is
    one of unknown words, save in English, where a borrowed “ok” would agree."""
    own = language_of(words)
    if own is None or (own is UNKNOWN and spoken.understood and spoken is not ENGLISH):
        return spoken
    return own


def agrees(words: str, spoken: Language = ENGLISH) -> bool:
    """Whether these words of a customer clearly agree: a yes or a go-ahead in a sentence without a
    condition, with no refusal or second thought anywhere. A question that follows doesn't take a
    yes back. Doubt counts as no. ``spoken`` is the language of the conversation; a message that is
    long enough to tell is judged by its own."""
    text = plain(words)
    language = _language(text, spoken)
    if not language.understood:
        return False
    if language is not ENGLISH:
        return _agrees_in(language, text)
    doubts = spoken is not ENGLISH and spoken.understood and spoken.holds_back.search(text)
    return not doubts and _agrees_in_english(text)


def _agrees_in(language: Language, text: str) -> bool:
    agreeing = False
    for sentence in _SENTENCE.findall(language.harmless_words.sub(" ", text)):
        is_question = sentence.endswith("?")
        yes = language.says_yes.match(sentence)
        remaining = sentence[yes.end() :] if yes else sentence
        goes_ahead = bool(language.tells_to_proceed.search(sentence))
        if language.holds_back.search(remaining) or (is_question and goes_ahead):
            return False
        agreeing |= not is_question and bool(yes or goes_ahead)
    return agreeing


def _agrees_in_english(text: str) -> bool:
    if _TAKES_BACK.search(text) or _REFUSES_ELSEWHERE.search(text):
        return False
    agreeing = False
    for sentence in _SENTENCE.findall(text):
        if any(pattern.search(sentence) for pattern in (_REFUSES, _HALTS, _BUT)):
            return False
        said_yes = bool(_SAYS_YES.search(sentence))
        if said_yes or (_TELLS_TO_PROCEED.search(sentence) and not sentence.endswith("?")):
            agreeing = agreeing or not _CONDITION.search(sentence)
    return agreeing


def _only_a_detail(words: str, language: Language) -> bool:
    """A short statement that neither asks, refuses, nor wants anything else done."""
    if len(words) > MAX_DETAIL or not language.understood:
        return False
    if language is not ENGLISH:
        return "?" not in words and not language.holds_back.search(words) and _is_a_name(words)
    return not any(pattern.search(words) for pattern in (_REFUSES, _HALTS, _WANTS_MORE))


def _is_a_name(words: str) -> bool:
    """Something with a number in it, such as a card's last digits or an id."""
    return any(sign.isdigit() for sign in words)


@lru_cache(maxsize=4096)
def plain(words: str) -> str:
    """Lower case, typographic signs as typed ones, markup signs and runs of spaces gone."""
    text = words.casefold().translate(_TYPED)
    return re.sub(r"[ \t\u00a0*`]+", " ", text)


_TYPED = {
    **dict.fromkeys((0x2018, 0x2019), "'"),  # single quotation marks
    **dict.fromkeys((0x201C, 0x201D), '"'),  # double ones
    **dict.fromkeys((0x2010, 0x2011, 0x2013, 0x2014), "-"),  # hyphens and dashes
}
