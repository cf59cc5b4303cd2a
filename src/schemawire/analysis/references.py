"""What the nouns and pronouns of a sentence stand for.

Knows trees and the context of the text; knows no statement.
"""

from dataclasses import dataclass, field

from schemawire.analysis.attributes import is_known_field
from schemawire.analysis.context import Context
from schemawire.analysis.facts import EntityName
from schemawire.analysis.naming import entity_words
from schemawire.analysis.parsing import Node
from schemawire.analysis.tree_clauses import LIGHT, adjuncts, subjects
from schemawire.analysis.tree_phrases import PhraseReader

_MAX_WORDS = 4
_PLURAL_PRONOUNS = frozenset({"they", "them", "their"})


@dataclass(slots=True)
class References:
    """Resolves the words of one sentence.

    `sentence` is its number; `subject` is the main clause's; `spoken` are all subjects so far, those of conditions
    included; `topic` is what the sentence opens with ("for each ingredient").
    """

    context: Context
    phrases: PhraseReader
    subject: EntityName | None = None
    spoken: list[EntityName] = field(default_factory=list)
    topic: EntityName | None = None
    sentence: int = 0

    def opening(self, first: Node) -> EntityName | None:
        """Return what a sentence opens with: "for each ingredient its name must be known" is about ingredients."""
        behind = first.kids("pobj") if first.lower in ("for", "of") else []
        each = behind and any(child.lower in ("each", "every") for child in behind[0].kids("det"))
        return self.resolve(behind[0]) if each else None

    def is_system(self, node: Node) -> bool:
        """Return whether a noun or pronoun means the product itself."""
        if node.tag == "PRP":
            return node.lower in ("we", "you", "it") and self.context.subject is None
        return node.is_noun and self.context.is_system(self.phrases.read(node))

    def resolve(self, node: Node) -> EntityName | None:
        """Return the thing that a noun or pronoun stands for."""
        context = self.context
        if node.tag == "PRP":
            if node.lower in ("it", *_PLURAL_PRONOUNS, "he", "she"):
                return self._antecedent(node)
            return context.speaker if node.lower == "i" else None
        if node.tag in ("DT", "CD") or not node.is_noun or context.lexicon.grammar.is_in(node.lower, "pronouns"):
            return None
        behind = next((nouns for word, _, nouns in adjuncts(node) if word == "of"), [])
        wrapped = context.lexicon.grammar
        if behind and (wrapped.is_in(node.lower, "wrappers") or node.lower in ("number", "type", "kind", "list")):
            return self.resolve(behind[0])
        if node.kids("poss") and wrapped.is_in(node.lower, "information_words"):
            return self.owner(node)  # "the tenant's record"
        if behind and wrapped.is_in(node.lower, "portions") and not behind[0].kids("det", "poss"):
            return self.resolve(behind[0])  # "each item of equipment"
        phrase = self.phrases.read(node)
        return None if context.is_system(phrase) else context.name(phrase)

    def literally(self, node: Node) -> EntityName:
        """Return a noun's own words as a name, also where it usually stands for something else; else nothing."""
        phrase = self.phrases.read(node)
        if not node.is_noun or self.context.is_system(phrase):
            return ()
        words = entity_words(phrase.words)
        return words if words and len(words) <= _MAX_WORDS and all(word[0].isalpha() for word in words) else ()

    def _antecedent(self, node: Node) -> EntityName | None:
        """Return what a pronoun stands for: "it" and "its" prefer the last subject that is no person, others one."""
        if self.topic is not None:
            return self.topic
        before = self.subject or (self.spoken[-1] if self.spoken else self.context.subject)
        if node.lower in ("it", "its"):
            people = self.context.lexicon.nouns.people | {"staff", "system"}
            things = [name for name in reversed(self.spoken) if name[-1] not in people]
            return things[0] if things else self.context.subject or self.subject
        if before is not None and self._is_person(before):
            return before
        return self._person_before(node) or before

    def _person_before(self, pronoun: Node) -> EntityName | None:
        """Return the last person that a sentence names before a pronoun: "an order shows the guest and their room"."""
        root = pronoun
        while root.head is not root:
            root = root.head
        nouns = sorted((node for node in root.subtree() if node.is_noun), key=lambda node: -node.index)
        for node in nouns:
            if node.index < pronoun.index and node.dep not in ("compound", "nmod"):
                name = entity_words(self.phrases.read(node).words)
                if name and self._is_person(name):
                    return self.resolve(node)
        return None

    def _is_person(self, name: EntityName) -> bool:
        rated = self.context.lexicon.ratings.get(name[-1])
        return rated is not None and rated.kind == "p"

    def shown_by(self, node: Node) -> EntityName | None:
        """Return what a subject tells of: a form or page "for a patient" shows what the patient has."""
        if node.is_noun and self.context.lexicon.grammar.is_in(node.lower, "views"):
            behind = [noun for word, _, nouns in adjuncts(node) if word in ("for", "of", "about") for noun in nouns]
            if behind and (name := self.resolve(behind[0])) is not None:
                return name
        return self.resolve(node)

    def told_by(self, node: Node) -> EntityName | None:
        """Return what the fields on a noun belong to: of a form that a member fills in, "with name", the member."""
        verb = node.head.head if node.dep == "pobj" else node.head
        if self.context.lexicon.grammar.is_in(node.lower, "views") and verb.is_verb and node.dep != "nsubj":
            doers = map(self.resolve, subjects(verb))
            people = (name for name in doers if name is not None and self._is_person(name))
            return next(people, None) or self.resolve(node)
        return self.resolve(node)

    def possessor(self, node: Node) -> EntityName | None:
        """Return what a possessive pronoun stands for."""
        return self._antecedent(node)

    def owner(self, node: Node) -> EntityName | None:
        """Return whose a noun is: "its name", "the guest's name", "the name of the guest"."""
        if (node.head.lemma, node.lower) in LIGHT:
            return None  # "keep track of skates"
        for owner in node.kids("poss"):
            if owner.tag == "PRP$":
                return self._antecedent(owner)
            return self.resolve(owner)
        if node.dep in ("conj", "appos") and node.head.is_noun and self._shares_owner(node):
            return self.owner(node.head)  # "its name, species and age"
        for word, _, behind in adjuncts(node):
            if word == "of" and node.lower == "number" and behind[0].tag == "NNS" and not behind[0].kids("det"):
                return None  # "the number of spectators" belongs to none of them
            if word == "of" and not self.is_one_name(node, behind[0]) and not self._measures(behind[0]):
                return self.resolve(behind[0])
            if word == "for" and self.is_field(node) and behind[0].kids("det"):
                return self.resolve(behind[0])  # "the fee for a course"
        return None

    def _shares_owner(self, node: Node) -> bool:
        return not node.kids("det") or (self.is_field(node) and self.is_field(node.head))

    def is_field(self, node: Node) -> bool:
        """Return whether a noun is known as a field; what is no noun is no thing either."""
        return not node.is_noun or is_known_field(self.phrases.read(node), self.context.lexicon)

    def _measures(self, of: Node) -> bool:
        """Return whether what is behind an "of" says how long something is: "a code of six digits"."""
        return self.context.lexicon.grammar.is_in(of.lower, "measures") and bool(of.kids("nummod"))

    def is_one_name(self, node: Node, of: Node) -> bool:
        """Return whether a noun and what is behind its "of" are one name: "date of birth"."""
        joins = self.context.lexicon.grammar.is_in(node.lower, "of_nouns") and of.lower != "money"
        return joins and not of.kids("det", "poss")

    def spoken_of(self, doer: Node) -> EntityName | None:
        """Return the thing that a subject is about: of "the name of a guest" the guest."""
        if doer.is_noun and is_known_field(self.phrases.read(doer), self.context.lexicon):
            return self.owner(doer)
        return self.resolve(doer)
