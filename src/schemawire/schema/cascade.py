"""Takes away what a deleted entity leaves dangling, and what that leaves dangling in turn.

Knows nothing of why the entity was deleted.
"""

from collections import deque

from schemawire.schema.affected import Touch, affected_by
from schemawire.schema.edits import altered
from schemawire.schema.issues import Issue
from schemawire.schema.model import Element, Entity, Relationship, kind_of
from schemawire.schema.rules import check_element
from schemawire.schema.view import Key, Overlay, SchemaView

_DANGLING = frozenset({"unknown_entity", "unknown_field", "unknown_enum"})


def cascade(view: SchemaView, overlay: Overlay, gone: Key) -> list[Key]:
    """Remove from the overlay all that dangles since an element is gone.

    A relationship without one of its ends, a field without what it refers to, an index or a rule without a field that
    it names: each goes. `extends` and `through` become null. What dangled before stays as it was.

    Args:
        view: the schema before the deletion.
        overlay: the schema after it, on top of `view`.
        gone: kind and key of the deleted element.

    Returns:
        Kind and key of everything that this wrote or removed.
    """
    written: dict[Key, None] = {}
    pending = deque(affected_by(overlay, Touch(gone, view.get(*gone), None)))
    while pending:
        key = pending.popleft()
        element = overlay.get(*key)
        dangling = _new_dangling(view, overlay, element) if element is not None else []
        if element is None or not dangling:
            continue
        smaller = _without(element, dangling)
        keys = overlay.remove(*key) if smaller is None else overlay.put(smaller)
        if keys:  # each round removes something, so there is a last one
            written.update(dict.fromkeys(keys))
            pending.extend(affected_by(overlay, Touch(key, element, smaller)))
    return list(written)


def _new_dangling(view: SchemaView, overlay: Overlay, element: Element) -> list[Issue]:
    issues = [issue for issue in check_element(overlay, element) if issue.code in _DANGLING]
    if not issues:
        return []
    before = view.get(kind_of(element), element.key)
    former = {issue.message for issue in check_element(view, before)} if before is not None else set()
    return [issue for issue in issues if issue.message not in former]


def _without(element: Element, dangling: list[Issue]) -> Element | None:
    places = [issue.pointer.split("/")[1:] for issue in dangling]
    match element:
        case Relationship() if all(place == ["through"] for place in places):
            return altered(element, through=None)
        case Entity():
            extends = None if ["extends"] in places else element.extends
            cut = {(place[0], place[1]) for place in places if len(place) > 1}
            lists = {name: _uncut(element, name, cut) for name in ("fields", "indexes", "rules")}
            return altered(element, extends=extends, **lists)
        case _:
            return None


def _uncut(entity: Entity, name: str, cut: set[tuple[str, str]]) -> tuple[object, ...]:
    return tuple(part for position, part in enumerate(getattr(entity, name)) if (name, str(position)) not in cut)
