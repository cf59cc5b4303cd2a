"""What is usual where the text says nothing: fields of an entity without any, relationships between well-known pairs.

Knows the domains file and the draft; used only where inference is wanted.
"""

from collections.abc import Iterator, Mapping

from schemawire.analysis.attributes import nature_of
from schemawire.analysis.drafting import EntityDraft, FieldDraft, LinkDraft, SchemaDraft
from schemawire.analysis.facts import EntityName, Source
from schemawire.analysis.naming import split_words
from schemawire.analysis.quantifiers import MANY, ONE, Quantity

_DEPENDANT, _PAIR = 0.6, 0.5
_GENERAL_FIELDS = ("name",)


def infer_links(draft: SchemaDraft) -> None:
    """Relate entities that are known to hang together and that the text did not relate."""
    domains = draft.lexicon.domains
    linked = {frozenset((link.source, link.target)) for link in draft.links}
    for name in list(draft.entities):
        key = "_".join(name)
        for other in _present(domains.many_to_many, key, draft):
            _link(draft, linked, other, name, MANY, "default:many-to-many", _PAIR)
        for other in _present(domains.classified, key, draft):
            _link(draft, linked, other, name, Quantity(0, 1), "default:classified", _PAIR)
        for alternatives in domains.dependants.get(key, ()):
            owners = [words for words in map(_words, alternatives.split("|")) if words in draft.entities]
            if owners and not any(frozenset((owner, name)) in linked for owner in owners):
                _link(draft, linked, owners[0], name, ONE, "default:dependant", _DEPENDANT)


def _words(key: str) -> EntityName:
    return tuple(key.split("_"))


def _present(table: Mapping[str, tuple[str, ...]], key: str, draft: SchemaDraft) -> Iterator[EntityName]:
    for other in table.get(key, ()):
        if (words := _words(other)) in draft.entities:
            yield words


def _link(
    draft: SchemaDraft, linked: set[frozenset[EntityName]], owner: EntityName, owned: EntityName, each: Quantity,
    rule: str, confidence: float,
) -> None:  # fmt: skip
    pair = frozenset((owner, owned))
    if pair in linked or draft.entities[owned].parent == owner or draft.entities[owner].parent == owned:
        return
    linked.add(pair)
    seen = draft.entities[owned].sources[0]
    source = Source(seen.start, seen.end, rule, confidence)
    draft.links.append(
        LinkDraft(
            source=owner, target=owned, verb="have", evidence=[source], source_quantity=each, target_quantity=MANY
        )
    )


def infer_fields(draft: SchemaDraft) -> None:
    """Give usual fields to each entity that has none."""
    for entity in draft.entities.values():
        if not entity.fields and entity.parent is None:
            for words in _usual_fields(entity, draft):
                nature = nature_of(words, draft.lexicon)
                source = entity.sources[0] if entity.sources else None
                draft.add_field(
                    entity.words,
                    FieldDraft(
                        words=words, type=nature.type, limits=dict(nature.limits), required=not nature.optional,
                        unique=nature.unique, sensitive=nature.sensitive,
                        source=source and Source(source.start, source.end, "default:usual-field", 0.4),
                    ),
                )  # fmt: skip


def _usual_fields(entity: EntityDraft, draft: SchemaDraft) -> list[tuple[str, ...]]:
    defaults = draft.lexicon.domains.defaults
    for start in range(len(entity.words)):
        found = defaults.get("_".join(entity.words[start:]))
        if found is not None:
            return [tuple(split_words(text)) for text in found]
    return [tuple(split_words(text)) for text in _GENERAL_FIELDS]
