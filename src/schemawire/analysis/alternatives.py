"""Lists of what something may be: kinds of a thing, or the values of a field.

Reads "three kinds of rounds: the first round and the final round", "a size (small or large)" and "is either open or
closed". Knows trees; knows no schema.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemawire.analysis.attributes import is_known_field
from schemawire.analysis.facts import ConstraintFact, EntityName, Fact, KindFact, MentionFact, Source
from schemawire.analysis.naming import entity_words, is_plural
from schemawire.analysis.noun_phrases import Phrase
from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.references import References
from schemawire.analysis.sentences import Token
from schemawire.analysis.tree_clauses import adjuncts, is_negated, subjects
from schemawire.analysis.tree_field_lists import read_announced_fields, read_bracketed_fields
from schemawire.analysis.tree_phrases import Brackets, conjuncts

_SURE, _FAIR = 0.8, 0.65
_MAX_WORDS, _MAX_ITEMS, _MAX_CLIMB = 4, 12, 4
_MENTIONED, _COMPOUND, _NEAR = 2, (2, 3), 60
_SEPARATORS = frozenset({",", "and", "or", ";", "/"})
_STOPS = frozenset({".", "?", "!"})
_ARTICLES = frozenset({"a", "an", "the"})
_SKIPPED = frozenset({"either", "both", "namely", "respectively", "also"})
_EXAMPLES = frozenset({"e.g.", "e.g", "eg", "such", "for", "like", "example", "instance", "as", "i.e.", "i.e", "ie"})
_OPEN_ENDS = frozenset({"etc", "etc.", "…", "...", "others", "more"})
_BREAKING = frozenset({"which", "that", "who", "whose", "if", "when", "because", "but", "where", "than", "as", "it",
                       "they", "can", "must", "may", "is", "are", "has", "have", "to", "with", "for"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One alternative: its words without article, and whether one stood before it."""

    words: tuple[str, ...]
    article: bool
    start: int
    end: int


def split_alternatives(tokens: Sequence[Token]) -> list[Item]:
    """Return the items of a list, or nothing where it is no list of short items."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.lower in _STOPS:
            break
        if token.lower in _SEPARATORS:
            parts.append([])
        elif token.lower not in _SKIPPED:
            parts[-1].append(token)
    items = [_item(part) for part in parts if part]
    fitting = [item for item in items if item is not None]
    return fitting if len(fitting) == len(items) and 2 <= len(items) <= _MAX_ITEMS else []


def _item(part: Sequence[Token]) -> Item | None:
    words = tuple(token.lower for token in part if token.lower not in _ARTICLES)
    if not 0 < len(words) <= _MAX_WORDS or any(word in _BREAKING or not word[0].isalpha() for word in words):
        return None
    return Item(words, part[0].lower in _ARTICLES, part[0].start, part[-1].end)


def read_alternatives(tree: Tree, brackets: Brackets, refer: References) -> Iterator[Fact]:
    """Yield what a sentence lists as kinds or values."""
    for node in tree:
        if node.lower in (":", "namely"):
            yield from _read_announced(tree, node.index, refer)
        elif node.lower == "as" and node.index > 1 and tree[node.index - 1].lower == "such":
            noun = next((other for other in reversed(tree[: node.index - 1]) if other.token.is_word), None)
            if noun is not None and noun.is_noun:
                yield from _read_examples(noun, _clause([other.token for other in tree[node.index + 1 :]]), refer)
        elif node.is_noun and node.token.end in brackets:
            yield from _read_bracket(node, brackets[node.token.end], refer)
        elif node.lemma == "be" or node.lower in ("be", "is", "are"):
            yield from _read_predicate(tree, node, refer)


def _read_announced(tree: Tree, index: int, refer: References) -> Iterator[Fact]:
    before = next((node for node in reversed(tree[:index]) if node.token.is_word), None)
    if before is None or not before.is_noun:
        return
    behind = [node.token for node in tree[index + 1 :]]
    if fields := list(read_announced_fields(before, behind, refer)):
        yield from fields
        return
    items = split_alternatives(behind)
    if items:
        yield from _decide(before, items, refer, announced=True)


def _read_bracket(noun: Node, inside: Sequence[Token], refer: References) -> Iterator[Fact]:
    if inside and inside[0].lower in _EXAMPLES:
        yield from _read_examples(noun, inside, refer)
        return
    if fields := list(read_bracketed_fields(noun, inside, refer)):
        yield from fields
        return
    items = split_alternatives(inside)
    if items:
        yield from _decide(noun, items, refer, announced=False)


def _read_examples(noun: Node, inside: Sequence[Token], refer: References) -> Iterator[Fact]:
    """Read "a level of training (e.g. novice, expert)": examples of a state are its values, of a thing not."""
    grammar = refer.context.lexicon.grammar
    state = noun.head.head if _is_behind_of(noun) and not _is_state(noun, refer) else noun
    telling = grammar.is_in(entity_words((state.lower,))[-1], "state_nouns")
    if not telling and not (noun.tag == "NN" and refer.is_field(noun)):
        return
    named = [token for token in inside if token.lower not in (*_EXAMPLES, *_OPEN_ENDS) and token.text != ":"]
    items = split_alternatives(named)
    if items and state is noun and _is_behind_of(noun) and _all_share(items, noun.head.head):
        yield from _kinds(noun.head.head, items, refer)  # "sensors of many types (e.g. heat sensor, light sensor)"
        return
    owner = holder(state, refer)
    words = _field_words(refer.phrases.read(state))
    of_one_name = state is not noun and refer.is_one_name(state, noun)
    if items and owner is not None and owner != words:
        yield _values(owner, (*words, "of", *_field_words(refer.phrases.read(noun))) if of_one_name else words, items)


def _decide(noun: Node, items: Sequence[Item], refer: References, *, announced: bool) -> Iterator[Fact]:
    """Decide whether a noun's alternatives are kinds of a thing or values of a field."""
    grammar, phrase = refer.context.lexicon.grammar, refer.phrases.read(noun)
    above = noun.head.head if noun.dep == "pobj" and noun.head.lower == "of" else None
    kinds = above is not None and grammar.is_in(above.lower, "kind_nouns")
    named = any(item.article or is_plural(item.words[-1]) or _shares(item, noun) for item in items)
    field = grammar.is_in(entity_words((noun.lower,))[-1], "state_nouns")
    field = field or is_known_field(phrase, refer.context.lexicon)
    if kinds and not named and (owner := refer.resolve(noun)) is not None:
        yield _values(owner, (entity_words((above.lower,))[-1] if above else "type",), items)
    elif kinds or (named and announced and not field and phrase.plural) or (announced and _all_share(items, noun)):
        yield from _kinds(noun, items, refer)
    elif not named and (field or announced or not phrase.plural):
        if above is not None and _is_state(above, refer) and noun.kids("det") and (whose := refer.resolve(noun)):
            yield _values(whose, _field_words(refer.phrases.read(above)), items)  # "the state of an order (open, paid)"
            return
        of_one_name = above is not None and refer.is_one_name(above, noun)
        owner = holder(above if above is not None and of_one_name else noun, refer)
        words = (
            (above.lower, "of", *_field_words(phrase)) if above is not None and of_one_name else _field_words(phrase)
        )
        if owner is not None and phrase.words:
            yield _values(owner, words, items)


def _shares(item: Item, noun: Node) -> bool:
    return len(item.words) > 1 and entity_words(item.words)[-1] == entity_words((noun.lower,))[-1]


def _all_share(items: Sequence[Item], noun: Node) -> bool:
    return all(_shares(item, noun) for item in items)


def _field_words(phrase: Phrase) -> EntityName:
    return entity_words(phrase.words)


def _values(owner: EntityName, field: EntityName, items: Sequence[Item]) -> ConstraintFact:
    source = Source(items[0].start, items[-1].end, "parser:one-of", _SURE)
    values = tuple(dict.fromkeys(" ".join(item.words) for item in items))
    return ConstraintFact(owner=owner, field=field, source=source, values=values)


def _kinds(noun: Node, items: Sequence[Item], refer: References) -> Iterator[Fact]:
    parent = refer.resolve(noun)
    if parent is None:
        return
    last = entity_words(items[-1].words)
    for item in items:
        name = entity_words(item.words)
        if last[-1] == parent[-1] and name[-1] != parent[-1] and not item.article:
            name = (*name, parent[-1])  # "a basic or extended tariff"
        if name != parent:
            yield KindFact(child=name, parent=parent, source=Source(item.start, item.end, "parser:kind-of", _FAIR))


def _is_behind_of(noun: Node) -> bool:
    return noun.dep == "pobj" and noun.head.lower == "of" and noun.head.head.is_noun


def _before(of: Node) -> Node:
    """Return the noun that stands nearest before a preposition, of those listed there."""
    return max((other for other in conjuncts(of.head) if other.index < of.index), key=lambda other: other.index)


def _is_state(noun: Node, refer: References) -> bool:
    return refer.context.lexicon.grammar.is_in(entity_words((noun.lower,))[-1], "state_nouns")


def holder(noun: Node, refer: References) -> EntityName | None:
    """Return whose a field is: by a possessive, by "of", or as the subject of the verb above it."""
    owner = refer.owner(noun)
    if owner is None and _is_behind_of(noun) and _is_state(noun, refer) and not refer.is_field(noun.head.head):
        owner = refer.resolve(_before(noun.head))  # "silos of different types"
    if owner is not None:
        return owner
    above = noun
    for _ in range(_MAX_CLIMB):
        if above.head is above:
            break
        above = above.head
        if above.is_verb:
            found = [name for doer in subjects(above) if (name := refer.resolve(doer)) is not None]
            about = [n for word, _, nouns in adjuncts(above) if word in ("for", "of") for n in nouns]
            found += [name for other in about if (name := refer.resolve(other)) is not None]
            if found:
                return found[0]
    return refer.subject or refer.context.subject


def _read_predicate(tree: Tree, be: Node, refer: References) -> Iterator[Fact]:
    """Read "is either free, occupied or out of order": three or more states, or two behind either."""
    verb = be if be.lemma == "be" and be.dep != "auxpass" else be.head
    doers = subjects(verb) if verb.is_verb else []
    if len(doers) != 1 or is_negated(verb) or verb.dep == "advcl":
        return
    behind = [node.token for node in tree[be.index + 1 :]]
    either = bool(behind) and behind[0].lower == "either"
    items = split_alternatives(_clause(behind))
    if len(items) < (2 if either else 3) or any(item.article or is_plural(item.words[-1]) for item in items):
        return
    following = tree[be.index + 1 + either]
    is_state = following.tag.startswith(("JJ", "VBN", "VBG")) or either
    if not is_state or not any(token.lower == "or" for token in behind):
        return
    doer, grammar = doers[0], refer.context.lexicon.grammar
    if doer.is_noun and (grammar.is_in(doer.lower, "state_nouns") or refer.owner(doer) is not None):
        owner, field = holder(doer, refer), _field_words(refer.phrases.read(doer))
    else:
        owner, field = refer.resolve(doer), ("status",)
    if owner is not None and field:
        yield _values(owner, field, items)


def _clause(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens up to the item behind the "or" that ends the list."""
    kept: list[Token] = []
    for index, token in enumerate(tokens):
        kept.append(token)
        if token.lower in ("or", "and"):
            rest = tokens[index + 1 : index + 1 + _MAX_WORDS]
            stop = next((i for i, t in enumerate(rest) if t.lower in {*_SEPARATORS, *_STOPS, *_BREAKING}), len(rest))
            return kept + list(rest[:stop])
    return kept


def shared_heads(mentions: Sequence[MentionFact]) -> dict[EntityName, tuple[EntityName, Source]]:
    """Return compounds and the thing they are kinds of: "light sensors and heat sensors", where sensors are spoken of.

    They must stand near each other. A compound whose first word is a thing of its own says whose it is, not of what
    kind: "order line".
    """
    told = Counter(mention.words for mention in mentions if mention.role != "modifier")
    compounds = [mention for mention in mentions if len(mention.words) in _COMPOUND and mention.words[-1:] in told]
    found: dict[EntityName, tuple[EntityName, Source]] = {}
    for index, first in enumerate(compounds):
        for second in compounds[index + 1 : index + 1 + _MAX_ITEMS]:
            pair = {first.words: first, second.words: second}
            near = second.source.start - first.source.end < _NEAR and first.words[-1:] == second.words[-1:]
            if near and len(pair) > 1 and all(told[name[:-1]] < _MENTIONED for name in pair):
                found |= {name: (name[-1:], mention.source) for name, mention in pair.items()}
    return found
