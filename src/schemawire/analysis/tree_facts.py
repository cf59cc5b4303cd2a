"""Trees to facts: who has, does, is or consists of what, read from the syntax of whole sentences.

Knows trees and the verbs' groups; knows no schema and no parser.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from schemawire.analysis.attributes import is_known_field
from schemawire.analysis.context import Context
from schemawire.analysis.facts import EntityName, Fact, KindFact, PropertyFact, RelationFact, Source
from schemawire.analysis.mentions import read_mentions
from schemawire.analysis.naming import entity_words
from schemawire.analysis.noun_phrases import Mark, Phrase
from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.quantifiers import MANY, ONE
from schemawire.analysis.references import References
from schemawire.analysis.tree_clauses import (
    adjuncts,
    adjuncts_of,
    bearers,
    is_conditional,
    is_negated,
    is_passive,
    modality,
    objects,
    subjects,
)
from schemawire.analysis.tree_counts import agent_counts, both_counts, is_own_act
from schemawire.analysis.tree_filling import (
    filled_in,
    focus_of,
    is_by_person,
    is_doer,
    is_personal,
    shared_out,
    unwrapped,
)
from schemawire.analysis.tree_information import is_information, read_information
from schemawire.analysis.tree_kinds import kinds_by_example, says_kind
from schemawire.analysis.tree_lists import listed_all, without_outer
from schemawire.analysis.tree_owners import owner_of_list, shared_owner, topic_of
from schemawire.analysis.tree_phrases import Brackets, PhraseReader, conjuncts, coordinated
from schemawire.analysis.tree_states import read_states
from schemawire.analysis.tree_times import read_times
from schemawire.analysis.tree_whether import read_choices
from schemawire.schema.model import RelationshipKind

_SURE, _FAIR, _WEAK = 0.85, 0.7, 0.5
_LINKING = frozenset({"to", "in", "on", "for", "at", "with", "from", "into", "of", "between", "under", "by", "through"})
_ABOUT = frozenset({"for", "of", "about"})
_STATING = frozenset({"from", "to", "until"})
_EXAMPLES = ("for example", "e.g.", "for instance")


@dataclass(slots=True)
class TreeReader:
    """Reads the trees of one text in order; what it learns of the subject goes to the context."""

    context: Context
    phrases: PhraseReader = field(init=False)
    refer: References = field(init=False)
    tree: Tree = field(init=False, default=())
    focus: EntityName | None = None
    """The thing, no person, that something was last done to."""
    sentences: int = 0
    """How many sentences were read."""

    def read(self, tree: Tree, brackets: Brackets) -> list[Fact]:
        """Return what one sentence says; an example says nothing that lasts."""
        self.phrases, self.tree = PhraseReader(self.context.lexicon, brackets), tree
        if " ".join(node.lower for node in tree[:2]).startswith(_EXAMPLES):
            return []
        self.sentences += 1
        self.refer = References(self.context, self.phrases, sentence=self.sentences)
        self.refer.topic = self.refer.opening(tree[0])
        facts: list[Fact] = []
        for node in tree:
            form = self.context.lexicon.verbs.forms.get(node.lower) if node.is_verb else None
            node.lemma = form.lemma if form is not None else node.lemma
        for node in tree:
            if node.is_verb:
                facts.extend(self._read_verb(node))
            elif is_information(node, self.context):
                facts.extend(read_information(node, tree, brackets, self.refer))
            elif node.is_noun:
                facts.extend(self._read_noun(node))
        self.focus = focus_of(tree, self.refer) or self.focus
        facts.extend((*read_choices(tree, brackets, self.refer), *read_times(tree, self.refer)))
        facts.extend(read_mentions(tree, self.refer))
        if self.refer.subject is not None:
            self.context.subject = self.refer.subject
        return facts

    def _read_verb(self, verb: Node) -> Iterator[Fact]:
        if verb.dep in ("aux", "auxpass", "compound", "amod") or is_negated(verb):
            return
        doers = subjects(verb)
        name = next((found for doer in doers if (found := self.refer.spoken_of(doer)) is not None), None)
        if name is not None:
            self.refer.spoken.append(name)
        if name is not None and self.refer.subject is None and not is_conditional(verb):
            self.refer.subject = name
        verbs, lemma = self.context.lexicon.verbs, verb.lemma
        if is_passive(verb):
            yield from self._read_passive(verb, doers)
        elif lemma == "be":
            yield from self._read_copula(verb, doers)
        elif lemma in ("consist", "comprise") or (lemma == "make" and verb.kids("prt")):
            parts = objects(verb) or [noun for word, _, behind in adjuncts(verb) if word == "of" for noun in behind]
            yield from self._have(verb, doers, parts, "composition", "parser:consists-of")
        elif self._is_recording(verb, doers):
            yield from self._read_recorded(verb, objects(verb))
        elif verbs.is_in(lemma, "entering") and is_by_person(doers, self.refer):
            yield from self._read_entered(verb, doers)
        elif verbs.is_in(lemma, "having"):
            yield from self._have(verb, doers, objects(verb), "association", "parser:has")
        else:
            yield from self._read_action(verb, doers)

    def _read_entered(self, verb: Node, doers: Sequence[Node]) -> Iterator[Fact]:
        """What someone fills in are the fields of what the sentence or those before it are about."""
        entered = [noun for noun in self._listed(objects(verb)) if noun.is_noun and self.refer.is_field(noun)]
        owner = filled_in(verb, doers, self.refer)
        if owner is None and not all(is_personal(self.phrases.read(noun), self.context.lexicon) for noun in entered):
            owner = self.focus
        owner = owner or next((name for doer in doers if (name := self.refer.resolve(doer)) is not None), None)
        owner = owner_of_list(entered, self.tree, self.refer) or owner
        for noun, theirs in ((noun, self.refer.owner(noun) or owner) for noun in entered):
            for phrase in self.phrases.read_all(noun) if theirs else ():
                yield self._property(theirs or (), noun, phrase, verb, kind="association", rule="parser:enters")

    def _is_recording(self, verb: Node, doers: Sequence[Node]) -> bool:
        if not self.context.lexicon.verbs.is_in(verb.lemma, "recording") or not objects(verb):
            return False
        about = [noun for word, _, nouns in adjuncts(verb) if word in _ABOUT for noun in nouns]
        for thing in objects(verb):
            about += next((nouns for word, _, nouns in adjuncts(thing) if word == "of"), [])
        if any(child.lower in ("each", "every") for noun in about for child in noun.kids("det")):
            return True  # "for each loan, the library keeps the date"
        return not doers or all(self.refer.is_system(doer) for doer in doers)

    def _have(
        self, verb: Node, doers: Sequence[Node], had: Sequence[Node], kind: RelationshipKind, rule: str
    ) -> Iterator[Fact]:
        fronted = [noun for word, _, behind in adjuncts(verb) if word == "for" for noun in behind]
        owners = [name for doer in doers if (name := self.refer.shown_by(doer)) is not None]
        owners = owners or [name for noun in fronted if (name := self.refer.resolve(noun)) is not None][:1]
        for owner in owners:
            for noun in (unwrapped(item, self.context.lexicon) for item in self._listed(had)):
                for phrase in self.phrases.read_all(noun):
                    yield self._property(owner, noun, phrase, verb, kind=kind, rule=rule)

    def _listed(self, nouns: Sequence[Node], *, is_subject: bool = False) -> list[Node]:
        return listed_all(nouns, self.tree, is_subject=is_subject)

    def _property(
        self, owner: EntityName, noun: Node, phrase: Phrase, verb: Node | None, *, kind: RelationshipKind, rule: str,
        kept: bool = False,
    ) -> PropertyFact:  # fmt: skip
        """Return what an owner has; a noun with an owner of its own goes to that one, unless the owner is kept."""
        of = next((nouns for word, _, nouns in adjuncts(noun) if word == "of"), [])
        if noun.lower == "number" and of and of[0].tag == "NNS":
            counted = self.phrases.read(of[0]).words
            phrase = replace(phrase, words=(*phrase.words, "of", *counted), hint="integer", end=of[0].token.end)
        elif of and self.refer.is_one_name(noun, of[0]):
            phrase = replace(phrase, words=(*phrase.words, "of", of[0].lower), end=of[0].token.end)
        per = next((nouns for word, _, nouns in adjuncts(noun) if word == "per"), [])
        if per:
            phrase = replace(phrase, words=(*phrase.words, "per", per[0].lower), end=per[0].token.end, plural=False)
        other = next((name for poss in noun.kids("poss") if (name := self.refer.resolve(poss)) is not None), None)
        if kept:
            pass
        elif other is not None and other != owner and not noun.kids("poss")[0].tag.startswith("PRP"):
            owner = other
        elif of and (whole := self.refer.resolve(of[0])) is not None and of[0].kids("det") and whole != phrase.words:
            owner = whole  # "the designer specifies the size of the board"
        if phrase.plural and phrase.quantity is None and is_known_field(phrase, self.context.lexicon):
            phrase = shared_out(noun, phrase, of)
        mood = modality(verb) if verb is not None else ""
        first = min(noun.token.start, phrase.start)
        return PropertyFact(
            owner=owner, phrase=phrase, source=Source(first, phrase.end, rule, _SURE), kind=kind,
            relational=kind == "composition", optional=mood in ("may", "can", "could", "might"),
            required=mood in ("must", "shall"),
        )  # fmt: skip

    def _read_passive(self, verb: Node, undergoers: Sequence[Node]) -> Iterator[Fact]:
        verbs, lemma = self.context.lexicon.verbs, verb.lemma
        behind = list(adjuncts(verb))
        agents = [noun for word, _, nouns in behind if word == "by" for noun in nouns]
        if verbs.is_in(lemma, "describing") and agents:
            yield from self._read_description(verb, undergoers, agents)
            return
        if lemma in ("compose", "make", "divide", "split"):
            parts = [noun for word, _, nouns in behind if word in ("of", "into") for noun in nouns]
            if parts:
                yield from self._have(verb, undergoers, parts, "composition", "parser:consists-of")
                return
        human = [agent for agent in agents if not self.refer.is_system(agent)]
        if self._is_kept(verb, undergoers) and not human:
            yield from self._read_recorded(verb, undergoers)
            added = [noun for word, _, nouns in behind if word == "with" for noun in nouns]
            topic = topic_of(verb, undergoers, self.refer)
            for undergoer in undergoers:
                name = topic if topic is not None and self.refer.is_field(undergoer) else self.refer.resolve(undergoer)
                if name is not None:
                    yield from self._with(name, added, "with")
            return
        if is_conditional(verb):
            return
        for agent in human:
            yield from self._relate(agent, undergoers, verb, "", "parser:passive-by")
        for word, _, nouns in behind:
            if word in _LINKING and word != "by":
                for undergoer in undergoers:
                    yield from self._relate(undergoer, nouns, verb, word, "parser:passive-preposition")

    def _is_kept(self, verb: Node, undergoers: Sequence[Node]) -> bool:
        """Return whether a passive says what is stored; with verbs such as give only where that is known as fields."""
        verbs = self.context.lexicon.verbs
        if verbs.is_in(verb.lemma, "recording"):
            return True
        fields = bool(undergoers) and undergoers[0].is_noun and self.refer.is_field(undergoers[0])
        return fields and any(verbs.is_in(verb.lemma, group) for group in ("having", "entering", "stating"))

    def _read_description(self, verb: Node, subjects_: Sequence[Node], agents: Sequence[Node]) -> Iterator[Fact]:
        marks: frozenset[Mark] = frozenset({"unique", "required"} if verb.lemma == "identify" else ())
        told = [(noun, phrase) for noun in self._listed(agents) for phrase in self.phrases.read_all(noun)]
        known = [(noun, phrase) for noun, phrase in told if is_known_field(phrase, self.context.lexicon)]
        told = told if marks or len(known) * 2 > len(told) else known
        rule = f"parser:{verb.lemma}-by"
        for owner in filter(None, map(self.refer.resolve, subjects_)):
            for noun, phrase in told:
                marked = replace(phrase, marks=phrase.marks | marks)
                yield self._property(owner, noun, marked, None, kind="association", rule=rule, kept=True)

    def _read_recorded(self, verb: Node, stored: Sequence[Node]) -> Iterator[Fact]:
        """What is stored are the fields of what stands behind "for each" or "of", else of the last subject."""
        stored = self._listed(stored, is_subject=is_passive(verb) or verb.lemma == "be")
        topic = topic_of(verb, stored, self.refer)
        owners = [self.refer.owner(noun) for noun in stored]
        last = next((name for name in reversed(owners) if name is not None), None)
        last = last or shared_owner(stored, self.tree, self.refer)
        for noun, own in zip(stored, owners, strict=True):
            owner = topic or own or last
            for phrase in self.phrases.read_all(noun) if owner is not None else ():
                if owner is None or self.context.lexicon.grammar.is_in(phrase.head, "information_words"):
                    continue
                if topic is not None and own not in (None, topic) and own is not None and noun.kids("prep"):
                    phrase = replace(phrase, words=(*own, *phrase.words))  # "for consultants, the name of their agency"
                yield self._property(
                    owner, noun, phrase, verb, kind="association", rule="parser:recorded", kept=topic is not None
                )

    def _read_copula(self, verb: Node, doers: Sequence[Node]) -> Iterator[Fact]:
        if verb.kids("expl"):
            yield from self._read_existence(verb)
            return
        fields = bool(doers) and all(doer.is_noun and self.refer.is_field(doer) for doer in doers)
        if fields and any(self.context.lexicon.grammar.is_in(word.lower, "wanted") for word in verb.kids("acomp")):
            yield from self._read_recorded(verb, doers)
            return
        states = read_states(verb, list(doers), self.refer, self.context.lexicon)
        if states is not None:
            yield states
            return
        for attribute in verb.kids("attr"):
            of = next((nouns for word, _, nouns in adjuncts(attribute) if word == "of"), [])
            if self.context.lexicon.grammar.is_in(attribute.lower, "kind_nouns") and of:
                yield from self._kinds(doers, of[0], _SURE)
            elif verb.dep == "relcl" and attribute.tag == "NNS" and self._names_kind(attribute, doers):
                yield from self._kinds(coordinated(doers), attribute, _FAIR)
            elif says_kind(verb, attribute) and self._names_kind(attribute, doers):
                listed = conjuncts(attribute)
                if len(listed) > 1 and len(doers) == 1:
                    yield from self._kinds(listed, doers[0], _FAIR)
                elif len(listed) == 1 and not adjuncts_of(attribute):
                    yield from self._kinds(doers, attribute, _FAIR)

    def _names_kind(self, attribute: Node, doers: Sequence[Node]) -> bool:
        if not attribute.is_noun or not all(doer.is_noun for doer in doers):
            return False
        if any(doer.kids("poss") or adjuncts_of(doer) for doer in doers) or attribute.kids("poss"):
            return False
        articles = {child.lower for child in attribute.kids("det")}
        return bool(articles & {"a", "an"}) or (attribute.tag == "NNS" and not articles)

    def _kinds(self, children: Sequence[Node], parent: Node, confidence: float) -> Iterator[Fact]:
        for child in children:
            above, name = self.refer.resolve(parent), self.refer.resolve(child)
            if any(word.lower == "some" for word in child.kids("det")):
                above, name = name, above  # "some guides are translators": those are a kind of guides
            if name is not None and above is not None and name != above:
                first, last = sorted((child, parent), key=lambda node: node.index)
                source = Source(first.token.start, last.token.end, "parser:kind-of", confidence)
                yield KindFact(child=name, parent=above, source=source)

    def _read_existence(self, verb: Node) -> Iterator[Fact]:
        """Read "for each hall, there is a night watch" and "there are two kinds of rooms: singles and suites"."""
        for thing in verb.kids("attr", "dobj"):
            of = next((nouns for word, _, nouns in adjuncts(thing) if word == "of"), [])
            if self.context.lexicon.grammar.is_in(thing.lower, "kind_nouns") and of:
                yield from self._kinds([n for n in conjuncts(thing)[1:] if n not in of], of[0], _SURE)
                continue
            places = ("for", "in", "on") if thing.is_noun and self.refer.is_field(thing) else ("for", "in")
            owners = [noun for word, _, nouns in adjuncts(verb) if word in places for noun in nouns]
            name = self.refer.resolve(owners[0]) if owners else None
            for noun in self._listed(conjuncts(thing)) if name is not None else ():
                for phrase in self.phrases.read_all(noun):
                    yield self._property(name or (), noun, phrase, None, kind="association", rule="parser:there-is")

    def _read_action(self, verb: Node, doers: Sequence[Node]) -> Iterator[Fact]:
        idle = self.context.lexicon.verbs.is_in(verb.lemma, "idle")
        done = objects(verb)
        yield from self._fields_given(verb, doers, done)
        yield from self._fields_stated(verb, doers, done)
        if idle or is_conditional(verb):
            return
        behind = [(word, nouns) for word, _, nouns in adjuncts(verb) if word in _LINKING]
        for doer in doers:
            yield from self._relate(doer, done, verb, "", "parser:verb")
            for word, nouns in behind if not done else ():
                yield from self._relate(doer, nouns, verb, word, "parser:verb-preposition")
        for word, nouns in behind if done else ():
            if word in ("to", "on", "in", "for", "into", "with", "from"):
                yield from self._relate(done[0], nouns[:1], verb, word, "parser:object-preposition")

    def _fields_given(self, verb: Node, doers: Sequence[Node], done: Sequence[Node]) -> Iterator[Fact]:
        """Read "guests enter their name and address": what is known as a field and theirs."""
        for noun in done:
            owner = next((name for doer in doers if (name := self.refer.resolve(doer)) is not None), None)
            possessed = any(poss.tag == "PRP$" for poss in noun.kids("poss"))
            for phrase in self.phrases.read_all(noun) if owner is not None and possessed else ():
                if owner is not None and is_known_field(phrase, self.context.lexicon):
                    yield self._property(owner, noun, phrase, verb, kind="association", rule="parser:their")

    def _fields_stated(self, verb: Node, doers: Sequence[Node], done: Sequence[Node]) -> Iterator[Fact]:
        """Read "a contract fixes the salary and runs from a start date to an end date": its fields."""
        behind = [noun for word, _, nouns in adjuncts(verb) if word in _STATING for noun in nouns]
        lexicon = self.context.lexicon
        for owner in filter(None, map(self.refer.resolve, doers)):
            if is_doer(owner, lexicon):
                continue
            for noun in self._listed([thing for thing in done if thing.is_noun] or behind):
                phrase = self.phrases.read(noun)
                theirs = noun.kids("poss") or any(word == "of" for word, _, _ in adjuncts(noun))
                known = is_known_field(phrase, lexicon) and entity_words(phrase.words) not in self.context.known
                if known and not theirs:
                    yield self._property(owner, noun, phrase, verb, kind="association", rule="parser:states")

    def _relate(self, doer: Node, others: Sequence[Node], verb: Node, word: str, rule: str) -> Iterator[Fact]:
        source_words = self.refer.resolve(doer)
        for other in others if source_words is not None else ():
            target = self.refer.resolve(other)
            if source_words is None or target is None or (target == source_words and other.tag == "PRP"):
                continue
            phrase = self.phrases.read(other) if other.is_noun else None
            if phrase is not None and target not in self.context.known and is_known_field(phrase, self.context.lexicon):
                if word in ("at", "on") and rule != "parser:object-preposition":
                    yield self._property(source_words, other, phrase, None, kind="association", rule="parser:when")
                continue
            first, last = sorted((doer, other), key=lambda node: node.index)
            own = rule == "parser:verb" and is_own_act(source_words, target, verb, self.context.lexicon)
            by = rule == "parser:passive-by"
            counts = agent_counts(doer, self.phrases) if by else both_counts(doer, other, verb, word, self.phrases)
            confidence = _WEAK if rule == "parser:object-preposition" else _FAIR
            yield RelationFact(
                source_words=source_words, target_words=target, verb=verb.lemma, particle=word,
                passive=rule == "parser:passive-preposition",
                source=Source(first.token.start, last.token.end, rule, confidence),
                source_quantity=(counts[0] or ONE) if own else counts[0],
                target_quantity=MANY if own and not doer.kids("det") else counts[1],
            )  # fmt: skip

    def _read_noun(self, noun: Node) -> Iterator[Fact]:
        """Read what hangs on a noun itself: its owner, "with" and "including"."""
        owner = self.refer.owner(noun)
        phrase = self.phrases.read(noun)
        known = is_known_field(phrase, self.context.lexicon)
        if owner is not None and known and noun.dep != "compound":
            yield self._property(owner, noun, phrase, None, kind="association", rule="parser:possessive")
        if known or noun.dep == "compound":
            return
        kinds = kinds_by_example(noun, self.tree, self.refer)
        yield from kinds
        for word, _, behind in adjuncts(noun) if not kinds else ():
            for name in filter(None, map(self.refer.told_by, bearers(noun))):
                if word in ("with", "including", "containing", "like"):
                    yield from self._with(name, behind, word)

    def _with(self, owner: EntityName, behind: Sequence[Node], word: str) -> Iterator[Fact]:
        for noun in without_outer(self._listed(behind)):
            for phrase in self.phrases.read_all(noun):
                if is_known_field(phrase, self.context.lexicon) or word != "like":
                    yield self._property(owner, noun, phrase, None, kind="association", rule=f"parser:{word}")
