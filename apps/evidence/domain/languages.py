"""How customers agree, refuse and hesitate in the languages that the tower understands.

Written so that doubt stays doubt: a message agrees in a language only if one of its sentences says
yes and none of its words refuses, sets a condition or asks for something first. English has finer
patterns of its own in ``agreement``.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache

MOST_SIGNS, MOST_WORDS = 8_000, 400
# Heard in conversations of every language. “No” is “in the” in Portuguese.
ENGLISH_DOUBTS = r"no(?=\W*$|\s*[,.!;])|nope|not|never|but|unless|if|wait|don't|except"


@dataclass(frozen=True)
class Language:
    """One language: words that tell it apart, a yes at the start of a sentence, a go-ahead anywhere
    in one, phrases that are harmless in spite of their words, and words that withhold a yes."""

    code: str
    name: str
    common: frozenset[str] = frozenset()
    yes: str = ""
    go_ahead: str = ""
    harmless: str = ""
    withholds: str = ""
    asks: str = ""

    @property
    def understood(self) -> bool:
        """Whether an answer in this language can be judged."""
        return bool(self.common)

    @cached_property
    def says_yes(self) -> re.Pattern[str]:
        """Matches a sentence that begins with a yes."""
        return re.compile(rf"^\W*(?:{self.yes})(?!\w)")

    @cached_property
    def tells_to_proceed(self) -> re.Pattern[str]:
        """Finds a go-ahead."""
        return re.compile(rf"(?<!\w)(?:{self.go_ahead})(?!\w)")

    @cached_property
    def harmless_words(self) -> re.Pattern[str]:
        """Finds what looks like a refusal or a condition and is none."""
        return re.compile(rf"(?<!\w)(?:{self.harmless})(?!\w)")

    @cached_property
    def holds_back(self) -> re.Pattern[str]:
        """Finds a refusal, a condition, a second thought."""
        return re.compile(rf"(?<!\w)(?:{self.withholds}|{ENGLISH_DOUBTS})(?!\w)")

    @cached_property
    def asks_for_an_answer(self) -> re.Pattern[str]:
        """Finds an agent's question for a yes."""
        return re.compile(rf"\?|(?<!\w)(?:{self.asks})(?!\w)")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = Language(
    "en",
    "English",
    _words(
        "the and you i my is are to of for it this that with have can please would on in me be"
        " what do not your yes no was will if so want need thank thanks just like order flight"
        " reservation go ahead hi hello help a an or at from by confirm cancel change but as all"
        " any other another more ok okay yeah sure great good correct right perfect looks sounds"
        " let's that's it's i'm i'd i'll don't book booking proceed use using card credit gift"
        " certificate economy business basic return exchange item items refund upgrade bag bags"
        " add remove then also there them they these those we he she his her who which when how"
        " one two three both first last same new old up out about after before into over than"
        " now here only could should did does has had been were get give make take send know think"
        " work works fine done address email number name user id date birth payment method visa"
        " mastercard total price cost passenger passengers economy insurance ending going see yep"
        " absolutely definitely certainly agreed exactly agree approve accept alright everything"
    ),
    asks="confirm|proceed",
)
FRENCH = Language(
    "fr",
    "French",
    _words(
        "le la les des du et je vous nous mon ma mes est suis pour avec dans que qui une un ce"
        " cette sur pas ne oui bonjour merci votre vos s'il plaît voudrais veux peux pouvez"
        " si non c'est j'ai d'accord être vol commande réservation mais aussi au aux en il elle"
    ),
    yes=r"oui|ouais|ok|okay|d'accord|entendu|parfait|très bien|tout à fait|exactement|bien sûr"
    r"|absolument|certainement|volontiers|c'est (?:bon|parfait|correct|exact|confirmé)"
    r"|je (?:confirme|valide|suis d'accord)|j'accepte|allez-y|procédez|confirmé|ça marche"
    r"|ça me (?:va|convient)|cela me convient|veuillez (?:procéder|continuer|confirmer)",
    go_ahead=r"allez-y|vous pouvez (?:y aller|procéder|continuer|confirmer|valider)|procédez"
    r"|veuillez (?:procéder|continuer|confirmer)|je (?:confirme|valide|suis d'accord)|j'accepte",
    harmless=r"s'il (?:vous|te) pla[iî]t|pas de (?:problème|souci)s?|sans (?:problème|souci)"
    r"|rien d'autre|c'est tout|je n'ai (?:pas|plus) d'autres? questions?"
    r"|je n'ai (?:pas|plus) besoin (?:d'autre chose|d'assurance|de bagages?|d'aide)",
    withholds=r"non|ne|n'\w+|pas|jamais|rien|aucune?|ni|stop|attende[zr]|arrêtez|annulez tout"
    r"|mais|si|s'il|s'ils|sauf|à condition|pourvu|à moins|sinon|cependant|toutefois|par contre"
    r"|d'abord|avant|plutôt|au lieu|en revanche|dès que|une fois que|quand|lorsque|seulement"
    r"|changé d'avis|un (?:instant|moment)|peut-être|je préfère|je refuse|erreur|très drôle"
    r"|bravo|encore une fois",
    asks=r"confirmez|confirmer|souhaitez-vous|voulez-vous|puis-je|dois-je",
)
SPANISH = Language(
    "es",
    "Spanish",
    _words(
        "el los las del y yo mi mis es soy para con que por una un este esta esto sí hola gracias"
        " su usted quiero quisiera puedo puede está estoy tengo de favor vuelo pedido reserva pero"
        " si no sin nada también al en lo se cambiar cancelar necesito como"
    ),
    yes=r"sí|si(?=\s*(?:[,.!;]|$|por favor|adelante|confirmo|acepto))|claro|por supuesto|vale"
    r"|de acuerdo|ok|okay|perfecto|correcto|exacto|confirmo|acepto|adelante|proceda|procede"
    r"|h[aá]galo|hazlo|est[aá] bien|estoy de acuerdo|muy bien|desde luego|as[ií] es|confirmado"
    r"|puede (?:proceder|continuar|confirmar|seguir)",
    go_ahead=r"adelante|proceda|h[aá]galo|puede (?:proceder|continuar|confirmar|seguir)|confirmo"
    r"|acepto|estoy de acuerdo",
    harmless=r"no hay (?:ning[uú]n )?problema|ning[uú]n problema|sin problemas?|nada m[aá]s"
    r"|no necesito nada m[aá]s|eso es todo",
    withholds=r"no|nunca|jam[aá]s|tampoco|nada|ning[uú]n\w*|ni|espere|espera|alto|pare|todav[ií]a"
    r"|a[uú]n|cancele todo|pero|si|salvo|excepto|siempre que|siempre y cuando|a menos|a no ser"
    r"|antes|primero|mejor|en vez|en lugar|sino|aunque|solo|s[oó]lo|cuando|condici[oó]n|quiz[aá]s?"
    r"|tal vez|prefiero|cambi[eé] de (?:idea|opini[oó]n)|un momento|muy gracioso|error",
    asks=r"confirma|confirme|desea|quiere que|puedo proceder",
)
GERMAN = Language(
    "de",
    "German",
    _words(
        "der die das und ich sie mein meine ist bin für mit dass ein eine nicht ja hallo danke"
        " bitte ihre ihr möchte kann können habe haben von zu den dem auf im wir flug bestellung"
        " wenn nein buchung aber auch es mir wie stornieren ändern einen"
    ),
    yes=r"ja|jawohl|jap|gerne?|ok|okay|in ordnung|einverstanden|genau|richtig|stimmt|das stimmt"
    r"|passt|das passt|perfekt|natürlich|selbstverständlich|bestätigt|sehr gut|klar|klingt gut"
    r"|ich (?:bestätige|stimme (?:\w+ )?zu|bin einverstanden)|machen sie das|legen sie los"
    r"|fahren sie (?:bitte )?fort|bitte (?:fortfahren|fahren sie fort|machen sie das)",
    go_ahead=r"machen sie das|legen sie los|fahren sie (?:bitte )?fort|bitte fortfahren"
    r"|ich (?:bestätige|stimme (?:\w+ )?zu|bin einverstanden)|einverstanden",
    harmless=r"kein (?:problem|thema)|nichts weiter|sonst nichts|keine weiteren fragen"
    r"|das ist alles",
    withholds=r"nein|nee|nicht|nie|niemals|kein\w*|nichts|halt|stopp?|warten|warte|moment"
    r"|aber|wenn|falls|sofern|außer|ausser|vorausgesetzt|bevor|zuerst|erst|stattdessen|lieber"
    r"|sondern|jedoch|es sei denn|sobald|allerdings|doch|nur|vielleicht|statt|anders"
    r"|überlegt|sehr witzig|toll gemacht|fehler",
    asks=r"bestätigen|möchten sie|soll ich|darf ich|einverstanden",
)
ITALIAN = Language(
    "it",
    "Italian",
    _words(
        "il lo gli della del di e io mio mia è sono per con che una un questo questa sì ciao"
        " buongiorno grazie suo sua vorrei voglio posso può ho favore volo ordine prenotazione ma"
        " se no non anche nel al alla si come cambiare cancellare vuole mi"
    ),
    yes=r"sì|si(?=\s*(?:[,.!;]|$|grazie|per favore|confermo|proceda))|certo|certamente|va bene"
    r"|d'accordo|ok|okay|perfetto|esatto|corretto|giusto|confermo|accetto|proced[ai]|procedete"
    r"|pu[oò]i? procedere|vada (?:pure )?avanti|faccia pure|assolutamente|benissimo|volentieri"
    r"|confermato|sono d'accordo",
    go_ahead=r"proced[ai]|pu[oò]i? (?:procedere|continuare|confermare)|vada (?:pure )?avanti"
    r"|faccia pure|confermo|accetto|sono d'accordo",
    harmless=r"nessun problema|nient'altro|niente altro|non c'è problema|è tutto",
    withholds=r"no|non|mai|niente|nulla|nessun\w*|né|aspett[ia]|fermo|attenda|ma|se|però|tranne"
    r"|salvo|a meno|purché|condizione|prima|invece|piuttosto|solo|soltanto|quando|tuttavia"
    r"|anziché|forse|preferisco|cambiato idea|un (?:momento|attimo)|errore|molto divertente",
    asks=r"conferma|confermare|desidera|vuole che|posso procedere|devo",
)
PORTUGUESE = Language(
    "pt",
    "Portuguese",
    _words(
        "o os as do da dos e eu meu minha é sou para com que uma um este esta isso sim olá"
        " obrigado obrigada seu sua você quero gostaria posso pode estou tenho por favor voo pedido"
        " se sem reserva mas também no na não em mudar cancelar preciso como ao"
    ),
    yes=r"sim|claro|com certeza|certo|est[aá] bem|tudo bem|ok|okay|perfeito|corret[oa]|exato"
    r"|confirmo|aceito|concordo|de acordo|prossiga|fa[cç]a isso|v[aá] em frente|isso mesmo"
    r"|confirmado|pode (?:prosseguir|continuar|fazer|confirmar|seguir)",
    go_ahead=r"prossiga|pode (?:prosseguir|continuar|fazer|confirmar|seguir)|v[aá] em frente"
    r"|confirmo|aceito|concordo",
    harmless=r"sem problemas?|nenhum problema|nada mais|mais nada|n[aã]o h[aá] problema|[eé] s[oó]"
    r" isso",
    withholds=r"n[aã]o|nunca|jamais|nada|nenhum\w*|nem|esper[ea]|aguarde|pare|mas|se|por[eé]m"
    r"|exceto|salvo|a menos|desde que|contanto|antes|primeiro|em vez|ao inv[eé]s|s[oó]|apenas"
    r"|quando|entanto|talvez|prefiro|mudei de ideia|um momento|erro|muito engra[cç]ado",
    asks=r"confirma|confirme|deseja|gostaria|posso prosseguir|quer que",
)
DUTCH = Language(
    "nl",
    "Dutch",
    _words(
        "de het een en ik u mijn is ben voor met dat niet ja hallo dank bedankt alstublieft uw"
        " als nee wil kan heb hebben van te op wij vlucht bestelling boeking maar ook mij hoe"
        " annuleren wijzigen graag deze dit zijn"
    ),
    yes=r"ja|jazeker|prima|akkoord|oké|oke|ok|okay|goed|klopt|dat klopt|inderdaad|zeker|graag"
    r"|perfect|in orde|ik (?:bevestig|ga akkoord)|ga (?:uw|je) gang|ga (?:maar )?door|doe(?: maar)?"
    r"|u (?:kunt|mag) doorgaan",
    go_ahead=r"ga (?:uw|je) gang|ga (?:maar )?door|doe(?: maar)?|u (?:kunt|mag) doorgaan"
    r"|ik (?:bevestig|ga akkoord)|akkoord",
    harmless=r"(?<=doe )maar|(?<=ga )maar|geen probleem|verder niets|niets meer|geen vragen meer"
    r"|dat is alles",
    withholds=r"nee|neen|niet|nooit|geen|niets|niks|noch|wacht|stop|maar|als|indien|tenzij"
    r"|behalve|mits|eerst|voordat|in plaats|liever|echter|zodra|wanneer|alleen|misschien|toch"
    r"|even|moment|van gedachten|fout|heel grappig",
    asks=r"bevestigt|bevestigen|wilt u|zal ik|mag ik",
)
LANGUAGES = (ENGLISH, FRENCH, SPANISH, GERMAN, ITALIAN, PORTUGUESE, DUTCH)
UNKNOWN = Language("", "an unknown language")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


@lru_cache(maxsize=2048)
def language_of(text: str) -> Language | None:
    """The language of a text in lower case; ``None`` where it is too short to tell, and a language
    that isn't understood where it has words enough and is none of those known here."""
    if script := unknown_letters(text):
        return Language("", script)
    words = _WORD.findall(text[:MOST_SIGNS])[:MOST_WORDS]
    if len(words) < 3:
        return None
    counts = Counter({one: sum(word in one.common for word in words) for one in LANGUAGES})
    (best, most), (_, second) = counts.most_common(2)
    if most >= 2 and most > second and most * 4 > len(words):
        return best
    return UNKNOWN if most * 3 <= len(words) else None


def unknown_letters(text: str) -> str:
    """The script of the first letter that is not Latin, as its name; empty when there is none."""
    if text.isascii():
        return ""
    for sign in dict.fromkeys(text):
        if sign.isalpha() and not (name := unicodedata.name(sign, "")).startswith("LATIN"):
            return f"{name.split(' ')[0].capitalize()} script" if name else "an unknown script"
    return ""
