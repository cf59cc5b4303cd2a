"""What is usual where the text says nothing: fields of an entity without any, relationships between well-known pairs.

Knows the domains file and the draft; used only where inference is wanted.
"""

from collections.abc import Container, Iterator, Mapping

from schemawire.analysis.attributes import nature_of
from schemawire.analysis.drafting import EntityDraft, FieldDraft, LinkDraft, SchemaDraft
from schemawire.analysis.facts import EntityName, Source
from schemawire.analysis.naming import split_words
from schemawire.analysis.quantifiers import MANY, ONE, OPTIONAL, Quantity

_CONFIDENCE = {"dependant": 0.6, "many-to-many": 0.5, "classified": 0.5, "usual-field": 0.4}
_GENERAL_FIELDS = ("name",)


def infer_links(draft: SchemaDraft) -> None:
    """Relate entities that are known to hang together and that the text did not relate."""
    linked = {frozenset((link.source, link.target)) for link in draft.links}
    hanging = _hanging(draft)
    for name in list(draft.entities):
        for link in _usual_links(draft, name, linked, hangs=name in hanging):
            pair = frozenset((link.source, link.target))
            if pair not in linked and not _is_kind(draft, link):
                linked.add(pair)
                draft.links.append(link)


def _is_kind(draft: SchemaDraft, link: LinkDraft) -> bool:
    return draft.entities[link.source].parent == link.target or draft.entities[link.target].parent == link.source


def _usual_links(
    draft: SchemaDraft, name: EntityName, linked: Container[frozenset[EntityName]], *, hangs: bool
) -> Iterator[LinkDraft]:
    domains, key = draft.lexicon.domains, "_".join(name)
    for other in _present(domains.many_to_many, key, draft):
        yield _relate(draft, other, name, MANY, "many-to-many")
    for other in _present(domains.classified, key, draft):
        yield _relate(draft, other, name, OPTIONAL, "classified")
    if (whole := _compound_owner(draft, name)) is not None and not hangs:
        yield _relate(draft, whole, name, ONE, "dependant")
    groups = domains.dependants.get(key, ())
    for alternatives in groups[1:] if hangs else groups:
        owners = [words for words in map(_words, alternatives.split("|")) if words in draft.entities]
        owners.sort(key=lambda words: draft.entities[words].parent in owners)  # a vehicle before its kinds
        if owners and not any(frozenset((owner, name)) in linked for owner in owners):
            yield _relate(draft, owners[0], name, ONE, "dependant")


def _compound_owner(draft: SchemaDraft, name: EntityName) -> EntityName | None:
    """Return the thing whose part a name says it is: a meter reading is a meter's."""
    parts = draft.lexicon.nouns.parts
    owner = name[:-1]
    return owner if owner in draft.entities and name[-1] in parts and draft.entities[name].parent is None else None


def _hanging(draft: SchemaDraft) -> set[EntityName]:
    """Return the things of which the text already says whose part they are: a card in a column needs no board."""
    return {link.target if link.verb != "belong" else link.source for link in draft.links if link.is_plain}


def _words(key: str) -> EntityName:
    return tuple(key.split("_"))


def _present(table: Mapping[str, tuple[str, ...]], key: str, draft: SchemaDraft) -> Iterator[EntityName]:
    for other in table.get(key, ()):
        if (words := _words(other)) in draft.entities:
            yield words


def _relate(draft: SchemaDraft, owner: EntityName, owned: EntityName, each: Quantity, rule: str) -> LinkDraft:
    seen = draft.entities[owned].sources[0]
    evidence = [Source(seen.start, seen.end, f"default:{rule}", _CONFIDENCE[rule])]
    return LinkDraft(
        source=owner, target=owned, verb="have", evidence=evidence, source_quantity=each, target_quantity=MANY
    )


def infer_fields(draft: SchemaDraft) -> None:
    """Give usual fields to each entity that has none."""
    for entity in draft.entities.values():
        if entity.fields or entity.parent is not None:
            continue
        for words in _usual_fields(entity, draft):
            draft.add_field(entity.words, _usual_field(words, entity, draft))


def _usual_field(words: tuple[str, ...], entity: EntityDraft, draft: SchemaDraft) -> FieldDraft:
    nature = nature_of(words, draft.lexicon)
    seen = entity.sources[0]
    return FieldDraft(
        words=words, type=nature.type, limits=dict(nature.limits), required=not nature.optional, unique=nature.unique,
        sensitive=nature.sensitive,
        source=Source(seen.start, seen.end, "default:usual-field", _CONFIDENCE["usual-field"]),
    )  # fmt: skip


def _usual_fields(entity: EntityDraft, draft: SchemaDraft) -> list[tuple[str, ...]]:
    defaults = draft.lexicon.domains.defaults
    for start in range(len(entity.words)):
        found = defaults.get("_".join(entity.words[start:]))
        if found is not None:
            return [tuple(split_words(text)) for text in found]
    return [tuple(split_words(text)) for text in _GENERAL_FIELDS]
