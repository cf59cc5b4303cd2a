"""Statements of relation to relationships: merged, with a cardinality at both ends and a name of their own.

Knows facts and the draft; knows no sentence.
"""

from collections import Counter
from collections.abc import Container, Iterable

from schemawire.analysis.drafting import LinkDraft, SchemaDraft
from schemawire.analysis.facts import EntityName, Fact, RelationFact
from schemawire.analysis.lexicon import Verbs
from schemawire.analysis.naming import camel_case, is_plural, plural
from schemawire.analysis.quantifiers import MANY, ONE, Quantity


def add_relations(facts: Iterable[Fact], draft: SchemaDraft) -> None:
    """Add a link for each relation between two entities."""
    for fact in facts:
        if not isinstance(fact, RelationFact):
            continue
        if fact.source_words in draft.entities and fact.target_words in draft.entities:
            draft.links.append(
                LinkDraft(
                    source=fact.source_words,
                    target=fact.target_words,
                    verb=fact.verb,
                    particle=fact.particle,
                    passive=fact.passive,
                    evidence=[fact.source],
                    kind=fact.kind,
                    source_quantity=fact.source_quantity,
                    target_quantity=fact.target_quantity,
                    role=fact.role,
                    through=fact.through if fact.through in draft.entities else None,
                )
            )


def merge_links(draft: SchemaDraft) -> None:
    """Merge statements of the same relationship: inverse readings, repetitions, and having into doing."""
    merged: dict[frozenset[EntityName], list[LinkDraft]] = {}
    order: list[LinkDraft] = []
    for link in draft.links:
        between = merged.setdefault(frozenset((link.source, link.target)), [])
        other = next((candidate for candidate in between if _same(candidate, link)), None)
        if other is None:
            between.append(link)
            order.append(link)
        else:
            _merge(other, link)
    draft.links = [link for link in order if not _absorbed(link, merged[frozenset((link.source, link.target))])]
    _merge_opposites(draft)
    _drop_counted_roles(draft)


def _merge_opposites(draft: SchemaDraft) -> None:
    """Merge two readings of one relationship: "a firm employs workers" and "each worker works for one firm".

    Only where each direction is stated once, without a role, and no end is one here and many there.
    """
    pairs: dict[frozenset[EntityName], list[LinkDraft]] = {}
    for link in draft.links:
        pairs.setdefault(frozenset((link.source, link.target)), []).append(link)
    repeated = set()
    for found in pairs.values():
        if len(found) == 2 and _are_opposite(found[0], found[1], draft):
            _merge(found[0], found[1])
            repeated.add(id(found[1]))
    draft.links = [link for link in draft.links if id(link) not in repeated]


def _are_opposite(first: LinkDraft, second: LinkDraft, draft: SchemaDraft) -> bool:
    if first.source != second.target or first.source == first.target or first.role or second.role:
        return False
    if "association" not in (first.kind, second.kind) or (first.through and second.through):
        return False
    ends = (
        (_known_source(first, draft), second.target_quantity),
        (first.target_quantity, _known_source(second, draft)),
    )
    return all(one is None or other is None or one.is_many == other.is_many for one, other in ends)


def _known_source(link: LinkDraft, draft: SchemaDraft) -> Quantity | None:
    creates = draft.lexicon.verbs.is_in(link.verb, "creating") and not link.particle
    return link.source_quantity or (ONE if creates else None)


def _drop_counted_roles(draft: SchemaDraft) -> None:
    """Drop "is played between two teams" where a home team and an away team are those two."""
    roles = Counter((link.source, link.target) for link in draft.links if link.role and not _many(link.target_quantity))
    draft.links = [link for link in draft.links if link.role or not _is_sum(link, roles[link.source, link.target])]


def _is_sum(link: LinkDraft, roles: int) -> bool:
    count = link.target_quantity
    return roles > 1 and count is not None and count.low == count.high == roles


def _same(first: LinkDraft, second: LinkDraft) -> bool:
    if first.role != second.role:
        return False
    if first.is_plain and second.is_plain:
        return True
    return first.verb == second.verb and first.source == second.source


def _merge(kept: LinkDraft, other: LinkDraft) -> None:
    flipped = kept.source != other.source
    source, target = other.source_quantity, other.target_quantity
    if flipped:
        source, target = target, source
    kept.source_quantity = _stronger(kept.source_quantity, source)
    kept.target_quantity = _stronger(kept.target_quantity, target)
    kept.kind = other.kind if kept.kind == "association" else kept.kind
    kept.evidence.extend(other.evidence)
    if flipped and kept.verb == "belong":
        kept.source, kept.target, kept.verb, kept.particle = other.source, other.target, other.verb, other.particle
        kept.source_quantity, kept.target_quantity = kept.target_quantity, kept.source_quantity


def _stronger(first: Quantity | None, second: Quantity | None) -> Quantity | None:
    """What was said outranks what was not; of two statements the one with a number in words, else the first."""
    if first is None or second is None:
        return first or second
    return second if not first.word and second.word else first


def _absorbed(link: LinkDraft, between: list[LinkDraft]) -> bool:
    """Merge having into doing: "A user has posts. Users write posts." is one relationship."""
    if not link.is_plain or link.role or link.kind != "association" or link.source == link.target:
        return False
    doing = [other for other in between if not other.is_plain]
    if len(doing) != 1:
        return False
    _merge(doing[0], link)
    return True


def complete_quantities(draft: SchemaDraft) -> None:
    """Decide the ends that nothing was said of."""
    for link in draft.links:
        link.source_quantity = _at_least_some(link.source_quantity)
        link.target_quantity = _at_least_some(link.target_quantity)
        inverse = link.verb == "belong" or link.particle in ("to", "in", "for", "on", "at", "with", "from", "under")
        if link.target_quantity is None:
            link.target_quantity = ONE if inverse else MANY
        if link.source_quantity is None:
            link.source_quantity = _usual_source(link, draft)


def _at_least_some(quantity: Quantity | None) -> Quantity | None:
    """Take "no trainer may lead …" for what it is, a denial that counts nobody."""
    return None if quantity is not None and quantity.high == 0 else quantity


def _usual_source(link: LinkDraft, draft: SchemaDraft) -> Quantity:
    """Who writes a post is one; who attends a course, many."""
    if link.source == link.target:
        return (
            Quantity(0, 1)
            if link.verb in ("have", "manage", "supervise", "contain") and _many(link.target_quantity)
            else MANY
        )
    if link.verb == "belong" or link.particle:
        return MANY
    verbs = draft.lexicon.verbs
    if link.is_plain and not _many(link.target_quantity) and link.target[-1] in draft.lexicon.nouns.people:
        return MANY
    if link.is_plain and draft.options.infer and _are_many_to_many(link, draft):
        return MANY
    if link.is_plain:
        return ONE if link.kind == "composition" or _many(link.target_quantity) else MANY if link.role else ONE
    return ONE if verbs.is_in(link.verb, "creating") else MANY


def _are_many_to_many(link: LinkDraft, draft: SchemaDraft) -> bool:
    table = draft.lexicon.domains.many_to_many
    ends = ("_".join(link.source), "_".join(link.target))
    return _many(link.target_quantity) and (ends[0] in table.get(ends[1], ()) or ends[1] in table.get(ends[0], ()))


def _many(quantity: Quantity | None) -> bool:
    return quantity is not None and quantity.is_many


def link_names(draft: SchemaDraft) -> list[str]:
    """Return a unique name for each link, in order: the verb, with the target where several share the verb."""
    short = [_verb_name(link, draft.lexicon.verbs) for link in draft.links]
    counts = Counter(short)
    names: dict[str, None] = {}
    for link, name in zip(draft.links, short, strict=True):
        if counts[name] > 1 or (link.is_plain and not link.particle):
            name = _with_target(name, link)
        names[_unused(name, link, names)] = None
    return list(names)


def _verb_name(link: LinkDraft, verbs: Verbs) -> str:
    form = verbs.participles.get(link.verb, link.verb) if link.passive else _third_person(link.verb)
    return camel_case([form, *([link.particle] if link.particle else [])])


def _third_person(verb: str) -> str:
    if verb in ("have", "be"):
        return "has" if verb == "have" else "is"
    return plural(verb) if not is_plural(verb) else verb


def _with_target(name: str, link: LinkDraft) -> str:
    words = list(link.role or link.target)
    if _many(link.target_quantity):
        words[-1] = plural(words[-1])
    return camel_case([name, *words])


def _unused(name: str, link: LinkDraft, taken: Container[str]) -> str:
    if name not in taken:
        return name
    longer = camel_case([*link.source, name])
    if longer not in taken:
        return longer
    number = 2
    while f"{longer}{number}" in taken:
        number += 1
    return f"{longer}{number}"
