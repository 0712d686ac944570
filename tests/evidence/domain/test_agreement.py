"""Whether a customer agreed, by language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evidence.domain.agreement import agreed, agrees, asks, heard_answer
from apps.evidence.domain.languages import LANGUAGES, UNKNOWN, language_of

# Language: how a conversation in it begins, what agrees, and what does not.
TALK: dict[str, tuple[str, list[str], list[str]]] = {
    "French": (
        "bonjour, je voudrais changer mon vol de demain, s'il vous plaît",
        [
            "Oui",
            "Oui, s'il vous plaît.",
            "Oui, je confirme. Allez-y, merci !",
            "D'accord, vous pouvez procéder.",
            "Parfait, je confirme le changement pour le vol du 20 mai.",
            "Oui, pas de problème.",
            "Très bien. Veuillez procéder au remboursement sur ma carte.",
        ],
        [
            "Non",
            "Non, merci.",
            "Oui, mais utilisez mon autre carte",
            "Oui, si c'est sans frais.",
            "Oui, à condition que ce soit gratuit",
            "Attendez un instant.",
            "D'accord, mais d'abord donnez-moi le prix.",
            "Je ne suis pas d'accord",
            "Oui... non, finalement.",
            "Oui, ne changez rien.",
            "Vous pouvez me dire le prix ?",
            "Bravo, encore une erreur de votre part.",
            "Je voudrais annuler ma commande",
            "peut-être",
        ],
    ),
    "Spanish": (
        "hola, quiero cambiar mi vuelo de mañana por favor",
        [
            "Sí",
            "si, por favor",
            "Sí, confirmo. Adelante.",
            "De acuerdo, puede proceder.",
            "Claro, no hay problema.",
            "Está bien, gracias.",
        ],
        [
            "No",
            "No, gracias.",
            "Sí, pero con otra tarjeta",
            "Si no cuesta nada",
            "Sí, siempre que sea gratis",
            "Espere un momento",
            "No estoy de acuerdo",
            "Vale, aunque antes dígame el precio",
            "¿Puede proceder con otra tarjeta?",
            "Sí, claro que no.",
            "Ok pero no lo haga",
        ],
    ),
    "German": (
        "hallo, ich möchte meine buchung ändern, bitte",
        [
            "Ja",
            "Ja, bitte.",
            "Ja, ich bestätige das. Machen Sie das.",
            "In Ordnung, fahren Sie fort.",
            "Einverstanden, danke!",
            "Ja, kein Problem.",
        ],
        [
            "Nein",
            "Nein, danke",
            "Ja, aber nicht mit dieser Karte",
            "Ja, wenn es nichts kostet",
            "Ich bin nicht einverstanden",
            "Warten Sie bitte",
            "Ja, sofern es gratis ist",
            "Genau, sehr witzig",
            "Ja nee, lieber doch nicht",
            "Können Sie mir den Preis nennen?",
        ],
    ),
    "Italian": (
        "buongiorno, vorrei cambiare il mio volo di domani per favore",
        ["Sì", "Sì, grazie.", "Va bene, proceda pure.", "Confermo.", "D'accordo, nessun problema."],
        [
            "No",
            "Sì, ma con un'altra carta",
            "Se è gratis sì",
            "Aspetti",
            "Non confermo",
            "Sì, però",
        ],
    ),
    "Portuguese": (
        "olá, gostaria de mudar o meu voo, por favor",
        ["Sim", "Sim, por favor.", "Confirmo, pode prosseguir.", "Tudo bem, sem problemas."],
        ["Não", "nao", "Sim, mas com outro cartão", "Sim, se for grátis", "Espere", "Não concordo"],
    ),
    "Dutch": (
        "hallo, ik wil graag mijn boeking wijzigen",
        [
            "Ja",
            "Ja, graag.",
            "Akkoord, ga uw gang.",
            "Prima, geen probleem.",
            "Dat klopt, doe maar.",
        ],
        ["Nee", "Ja, maar niet nu", "Ja, als het gratis is", "Wacht even", "Ik ga niet akkoord"],
    ),
}
YES = [(name, start, words) for name, (start, yes, _) in TALK.items() for words in yes]
NO = [(name, start, words) for name, (start, _, no) in TALK.items() for words in no]


@pytest.mark.parametrize(("name", "start", "words"), YES)
def test_a_yes_is_heard_in_the_language_of_the_conversation(
    name: str, start: str, words: str
) -> None:
    answer = heard_answer([start, words.casefold()])

    assert (answer.agrees, answer.understood) == (True, True)


@pytest.mark.parametrize(("name", "start", "words"), NO)
def test_a_no_a_but_or_a_doubt_never_confirms(name: str, start: str, words: str) -> None:
    english = "hi, i would like to change my flight, please"

    assert not heard_answer([start, words.casefold()]).agrees
    assert not heard_answer([english, words.casefold()]).agrees
    assert not heard_answer([words.casefold()]).agrees


@pytest.mark.parametrize(("name", "start", "words"), NO)
def test_a_yes_in_english_lends_nothing_to_a_no_of_another_language(
    name: str, start: str, words: str
) -> None:
    assert not heard_answer([start, f"yes. {words}".casefold()]).agrees


@pytest.mark.parametrize("start", [start for start, _, _ in TALK.values()])
@pytest.mark.parametrize("words", ["no", "nope", "not yet", "yes, but", "ok no", "sure, if free"])
def test_an_english_no_confirms_in_no_language(start: str, words: str) -> None:
    assert not heard_answer([start, words]).agrees


@pytest.mark.parametrize(
    "words",
    [
        "да, пожалуйста", "はい、お願いします", "是的", "نعم", "네", "yes нет", "ok 不",
        "tak, proszę to zrobić, dziękuję bardzo za pomoc",
        "evet, lütfen devam edin, çok teşekkür ederim",
    ],
)  # fmt: skip
def test_what_is_not_understood_never_agrees_and_says_so(words: str) -> None:
    answer = heard_answer([words])

    assert not answer.agrees
    assert not answer.understood


@pytest.mark.parametrize(
    "words",
    [
        "ok no", "Yes, not.", "Sure, never", "Yeah, right.", "Yes but use my other card",
        "Yes. But use my other card.", "I agree to nothing", "Yes please /s", "Oh great, now again",
        "ok dann lass es", "Ok, laisse tomber", "yes mais non", "Yes, I do not agree", "yes 🙄",
        "Yes. Except the second one.",
    ],
)  # fmt: skip
def test_a_yes_that_is_taken_back_or_mocked_does_not_agree(words: str) -> None:
    assert not agrees(words)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("i would like to cancel my order please", "English"),
        *((start, name) for name, (start, _, _) in TALK.items()),
        ("добрый день", "Cyrillic script"),
        ("chciałbym zmienić rezerwację na jutro rano proszę bardzo", UNKNOWN.name),
    ],
)
def test_a_language_is_told_by_its_common_words(text: str, name: str) -> None:
    language = language_of(text)

    assert language is not None
    assert language.name == name


def test_naming_a_card_keeps_a_yes_in_any_language() -> None:
    start = TALK["French"][0]

    assert agreed([start, "oui, je confirme", "la carte qui finit par 7238"])
    assert not agreed([start, "oui, je confirme", "annulez aussi l'autre"])
    assert not agreed([start, "oui, je confirme", "combien ça coûte ?"])


def test_a_card_that_was_asked_for_takes_no_yes_back() -> None:
    assert agrees("Yes, please proceed. I'd prefer to pay with a gift card.")
    assert not agrees("Yes, please proceed. I'd prefer the later flight.")


def test_a_question_for_a_yes_is_known_by_its_language() -> None:
    assert asks("je vais changer votre vol ; souhaitez-vous continuer".casefold())
    assert asks("ich werde ihre buchung stornieren. bitte bestätigen sie das".casefold())
    assert not asks("votre vol est changé, je vous remercie")


@given(st.text(max_size=60), st.sampled_from([start for start, _, _ in TALK.values()]))
def test_any_words_are_read_in_any_conversation(words: str, start: str) -> None:
    answer = heard_answer([start, words.casefold()])

    assert isinstance(answer.agrees, bool)
    assert answer.understood or not answer.agrees


@given(st.sampled_from(LANGUAGES[1:]), st.data())
def test_a_word_that_withholds_wins_over_any_yes(language: object, data: st.DataObject) -> None:
    start, yes, no = TALK[language.name]  # type: ignore[attr-defined]
    doubts = [words for words in no if "?" not in words and not words.startswith("Je voudrais")]
    words = f"{data.draw(st.sampled_from(yes))} {data.draw(st.sampled_from(doubts))}"

    assert not heard_answer([start, words.casefold()]).agrees
