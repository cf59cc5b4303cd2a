"""Every intent that changes something, by name."""

from collections.abc import Callable

from schemawire.analysis.refining.adding import add, add_entity, participle
from schemawire.analysis.refining.constraining import (
    add_value,
    change_type,
    default,
    length,
    limits,
    make_enum,
    mark,
    remove_value,
)
from schemawire.analysis.refining.proposals import Step
from schemawire.analysis.refining.reshaping import combine, ends, move, remove, rename, split, unlink
from schemawire.analysis.refining.scene import Said, Scene

INTENTS: dict[str, Callable[[Scene, Said], Step]] = {
    "rename": rename, "remove": remove, "unlink": unlink, "ends": ends, "mark": mark, "type": change_type,
    "length": length, "range": limits, "default": default, "enum": make_enum, "add_value": add_value,
    "remove_value": remove_value, "split": split, "combine": combine, "move": move, "participle": participle,
    "add_entity": add_entity, "add": add,
}  # fmt: skip
