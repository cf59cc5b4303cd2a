"""Rules in words to expressions of the rule language, where the fields and entities that they need are there.

Knows what was read and the schema made of it; knows no sentence. What cannot be expressed stays as it was said.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from schemawire.analysis.business_rules import ApartFact, BoundFact, RoleFact
from schemawire.analysis.facts import EntityName, RuleFact
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import camel_case, entity_words, split_words
from schemawire.schema.edits import changed
from schemawire.schema.model import DomainSchema, Entity, Field, Rule, cardinality_bounds
from schemawire.schema.syntax import Binary, Constant, Expression, In, Operator, Path, unparse
from schemawire.schema.syntax import Sequence as Choices

_PERIODS = ("datetime", "date", "time")
Condition = tuple[Entity, Field, str | bool]
"""A field of an entity, and the value that somebody in a role has there."""


def with_expressions(schema: DomainSchema, facts: Sequence[RuleFact], lexicon: Lexicon) -> DomainSchema:
    """Return a schema whose rules are expressions where they can be.

    Args:
        schema: with one rule for each of the facts, in their order; further facts have none.
        facts: what was read.
        lexicon: the language.
    """
    if not any(isinstance(fact, RoleFact | ApartFact | BoundFact) for fact in facts):
        return schema
    terms = _Terms(schema, lexicon)
    made = (terms.expressed(rule, fact) for rule, fact in zip(schema.rules, facts, strict=False))
    return changed(schema, rules=tuple(rule for rule in made if rule is not None))


def told_apart(facts: Sequence[RuleFact]) -> list[RuleFact]:
    """Return facts of which no two have the same name in the document: a later one has a number."""
    taken: dict[str, int] = {}
    return [replace(fact, name=_free_words(fact.name or ("rule",), taken)) for fact in facts]


def _free_words(words: tuple[str, ...], taken: dict[str, int]) -> tuple[str, ...]:
    """Return words whose name is free, and take it; as many go as the number needs to fit into a name.

    Args:
        words: as they were read.
        taken: the names in use, each with the last number behind it.
    """
    name, free = camel_case(words), words
    first = name
    while name in taken:
        number = str(taken[first] + 1)
        taken[first] += 1
        free = (*words, number)
        while len(free) > 1 and not camel_case(free).endswith(number):
            free = (*free[:-2], number)
        name = camel_case(free)
    taken[name] = 1
    return free


class _Terms:
    """What the entities of a schema offer to expressions."""

    def __init__(self, schema: DomainSchema, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._entities = {entity_words(split_words(entity.name)): entity for entity in schema.entities}
        self._values = {
            enum.name: {entity_words(split_words(value)): value for value in enum.values} for enum in schema.enums
        }
        self._roles: dict[EntityName, Condition] = {}
        fields = ((entity, field) for entity in schema.entities for field in entity.fields if field.enum is not None)
        for entity, field in fields:
            for role, value in self._values.get(field.enum or "", {}).items() if self._is_role(entity, field) else ():
                self._roles.setdefault(role, (entity, field, value))
        self._most: dict[tuple[str, str], set[int | None]] = defaultdict(set)
        for link in schema.relationships:
            self._most[link.source, link.target].add(cardinality_bounds(link.target_cardinality)[1])
            self._most[link.target, link.source].add(cardinality_bounds(link.source_cardinality)[1])

    def expressed(self, rule: Rule, fact: RuleFact) -> Rule | None:
        """Return a rule as an expression, as it was, or `None` where a relationship says the same."""
        match fact:
            case RoleFact():
                expression = self._role(fact)
                return rule if expression is None else _with(rule, "authorization", expression)
            case ApartFact():
                expression = self._apart(fact)
                return rule if expression is None else _with(rule, "check", expression)
            case BoundFact():
                return None if self._is_bounded(fact) else rule
            case _:
                return rule

    def _role(self, fact: RoleFact) -> Expression | None:
        """Return the condition on whoever acts, if every role is a value of one and the same field."""
        found = [self._condition(role) for role in fact.roles]
        conditions = [condition for condition in found if condition is not None]
        if len(conditions) != len(found) or len({(entity.name, field.name) for entity, field, _ in conditions}) != 1:
            return None
        entity, field, _ = conditions[0]
        path, values = Path((entity.name, field.name)), tuple(Constant(value) for _, _, value in conditions)
        if len(values) == 1:
            return Binary("!=" if fact.denied else "=", path, values[0])
        return In(path, Choices(values), negated=fact.denied)

    def _condition(self, role: EntityName) -> Condition | None:
        """Return what makes somebody an admin, or a premium member."""
        if role in self._roles:
            return self._roles[role]
        for length in range(1, len(role)):
            entity = self._entities.get(role[length:])
            if entity is not None:
                return self._trait(entity, role[:length])
        return None

    def _trait(self, entity: Entity, trait: EntityName) -> Condition | None:
        """Return the field that says of an entity what stands before its name: a premium or an active member."""
        for field in entity.fields:
            value = self._values.get(field.enum or "", {}).get(entity_words(trait))
            if value is not None:
                return entity, field, value
            words = split_words(field.name)
            if field.type == "boolean" and tuple(words[-len(trait) :]) == trait:
                return entity, field, True
        return None

    def _is_role(self, entity: Entity, field: Field) -> bool:
        """A role makes whoever has it somebody; a type does so only with people: a truck is no role of a vehicle."""
        word, owner = split_words(field.name)[-1], split_words(entity.name)[-1]
        grammar = self._lexicon.grammar
        is_person = owner in self._lexicon.nouns.people or owner in self._lexicon.senses["persons"]
        return grammar.is_in(word, "role_nouns") or (is_person and grammar.is_in(word, "state_nouns"))

    def _apart(self, fact: ApartFact) -> Expression | None:
        """Return that one period ends before the other begins, whichever comes first."""
        one, other = self._entities.get(fact.one), self._entities.get(fact.other)
        if one is None or other is None:
            return None
        for kind in _PERIODS:
            first, second = self._period(one, kind), self._period(other, kind)
            if first is not None and second is not None:
                sign: Operator = "<" if kind == "date" else "<="  # two periods share the day on which one ends
                before = Binary(sign, first[1], second[0])
                return Binary("or", before, Binary(sign, second[1], first[0]))
        return None

    def _period(self, entity: Entity, kind: str) -> tuple[Path, Path] | None:
        fields = [field for field in entity.fields if field.type == kind]
        starts, ends = ([*self._told_by(fields, group)] for group in ("period_starts", "period_ends"))
        if len(starts) != 1 or len(ends) != 1:
            return None
        return Path((entity.name, starts[0].name)), Path((entity.name, ends[0].name))

    def _told_by(self, fields: Sequence[Field], group: str) -> Iterator[Field]:
        for field in fields:
            if any(self._lexicon.grammar.is_in(word, group) for word in split_words(field.name)):
                yield field

    def _is_bounded(self, fact: BoundFact) -> bool:
        """Tell whether a relationship of the two has the bound at its end."""
        owner, owned = self._entities.get(fact.owner), self._entities.get(fact.owned)
        return owner is not None and owned is not None and fact.most in self._most[owner.name, owned.name]


def _with(rule: Rule, kind: str, expression: Expression) -> Rule:
    return changed(rule, kind=kind, expression=unparse(expression))
