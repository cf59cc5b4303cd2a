"""The house rules: who may import whom, no circles, and the size of things, read from the syntax tree."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "schemawire"
FREE = {"errors", "events", "framing", "_version"}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "events": set(),
    "_version": set(),
    "framing": {"errors"},  # a broken frame is one of the project's errors
    "schema": set(),
    "resilience": set(),
    "exchange": {"schema"},
    "protocol": {"schema"},
    "transport": {"resilience"},
    "telemetry": {"transport"},
    "analysis": {"schema"},
    "settings": {"resilience", "transport"},
    "handler": {"schema", "protocol", "resilience", "transport", "analysis", "telemetry", "settings"},
    "outbox": {"schema", "protocol", "resilience", "transport", "analysis", "telemetry", "settings"},
    "service": {"schema", "protocol", "exchange", "analysis", "resilience", "telemetry", "settings"},
    "domain_schema_handler": {"handler", "resilience", "transport", "settings"},
}
JOINERS = {"_embedded", "cli", "testing", "__init__", "__main__"}
"""Rooms that join the others and that no room imports."""

ONLY_BY = {
    ("analysis", "transport"): {"analysis/llm.py"},
    ("analysis", "resilience"): {"analysis/llm.py"},  # the options of its client's retries
    ("service", "transport"): {"service/webhooks.py"},
    ("settings", "resilience"): {"settings/client.py", "settings/sources.py"},
    ("settings", "transport"): {"settings/client.py", "settings/sources.py"},
}
"""Imports that one file of a room alone may make."""

FORBIDDEN_WORDS = re.compile(r"(Manager|Helper|Util|Utils|Base|Impl|Data|Info)$")
FILE_CAP, FUNCTION_CAP, NESTING_CAP, POSITIONAL_CAP = 400, 50, 3, 5
BLOCKS = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.Match)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def sources() -> dict[str, ast.Module]:
    """Every source file by its path below the package."""
    files = sorted(SOURCE.rglob("*.py"))
    return {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in files}


def room_of(path: str) -> str:
    """`service/store/sqlite.py` → `service`."""
    return path.split("/")[0].removesuffix(".py")


def module_of(path: str) -> str:
    """`schema/__init__.py` → `schemawire.schema`."""
    parts = ["schemawire", *path.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module (or name of a module) of ours that the tree imports, type-only and late imports included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("schemawire"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("schemawire"):
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function of a file."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines from `def` to the end, without the docstring."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def nesting(node: ast.AST) -> int:
    """How many blocks lie within one another; an `elif` is no deeper than its `if`, inner functions count afresh."""
    deepest = 0
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, Function | ast.ClassDef | ast.Lambda):
                continue
            is_elif = isinstance(node, ast.If) and name == "orelse" and isinstance(child, ast.If) and len(value) == 1
            deepest = max(deepest, nesting(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def test_rooms_import_only_what_the_table_allows() -> None:
    """A room imports itself, the free files, and the rooms that the design grants it."""
    wrong = []
    for path, tree in sources().items():
        room = room_of(path)
        if room in JOINERS:
            continue
        assert room in MAY_IMPORT, f"{path} lies in a room that the table does not know"
        for name in imports(tree):
            target = [*name.split("."), "__init__"][1]
            allowed = {room} | FREE | MAY_IMPORT[room]
            alone = ONLY_BY.get((room, target))
            is_room = (SOURCE / target).exists() or (SOURCE / f"{target}.py").exists()
            refused = target not in allowed if alone is None else path not in alone
            if is_room and refused:
                wrong.append(f"{path} imports {name}")
    assert not wrong, "\n".join(wrong)


def as_listed(names: list[str]) -> list[str]:
    """Constants, then classes, then the rest: the order that the linter gives an export list."""
    return sorted(names, key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))


def test_there_is_no_import_circle() -> None:
    """Files import one another in one direction only, type-only imports included."""
    modules = {module_of(path): path for path in sources()}
    edges: dict[str, set[str]] = {}
    for path, tree in sources().items():
        found = set()
        for name in imports(tree):
            while name not in modules and "." in name:
                name = name.rpartition(".")[0]
            found.add(name)
        edges[module_of(path)] = found - {module_of(path)}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, "circle: " + " → ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for target in sorted(edges.get(module, ())):
                visit(target, (*trail, module))
            done.add(module)

    for module in edges:
        visit(module, ())


def test_only_settings_reads_the_environment() -> None:
    """One room turns the environment into options; everything else is told."""
    readers = []
    for path, tree in sources().items():
        for node in ast.walk(tree):
            is_environ = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
            if is_environ and room_of(path) not in {"settings", "cli", "testing"}:
                readers.append(path)
    assert not readers, readers


def test_files_stay_below_the_cap() -> None:
    """A file over the cap is split by decision."""
    sizes = {path: len((SOURCE / path).read_text("utf-8").splitlines()) for path in sources()}
    assert not {path: size for path, size in sizes.items() if size > FILE_CAP}


def test_functions_are_short_flat_and_take_few_positions() -> None:
    """Cap 50 lines, three nested blocks, five positional parameters; the median and nine in ten are far below."""
    wrong, lengths = [], []
    for path, tree in sources().items():
        for function in functions(tree):
            lengths.append(length(function))
            positional = [argument.arg for argument in function.args.posonlyargs + function.args.args]
            positional = [name for name in positional if name not in {"self", "cls"}]
            if "app.command" in ast.unparse(function.decorator_list[0]) if function.decorator_list else False:
                positional = []  # a command's parameters are options that its user names
            where = f"{path}:{function.lineno} {function.name}"
            if length(function) > FUNCTION_CAP:
                wrong.append(f"{where}: {length(function)} lines")
            if nesting(function) > NESTING_CAP:
                wrong.append(f"{where}: nested {nesting(function)} deep")
            if len(positional) > POSITIONAL_CAP:
                wrong.append(f"{where}: {len(positional)} positional parameters")
    assert not wrong, "\n".join(wrong)
    assert median(lengths) <= 8
    assert sorted(lengths)[int(len(lengths) * 0.9)] <= 25


def test_names_say_what_a_thing_is() -> None:
    """No class is called Manager, Helper, Util, Base, Impl, Data or Info."""
    classes = [node.name for tree in sources().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if FORBIDDEN_WORDS.search(name)]


@pytest.mark.parametrize(
    "room",
    [
        "schema",
        "resilience",
        "transport",
        "protocol",
        "analysis",
        "exchange",
        "service",
        "settings",
        "telemetry",
        "testing",
    ],
)
def test_a_room_lists_what_it_offers(room: str) -> None:
    """`__all__` is sorted, complete and importable."""
    module = importlib.import_module(f"schemawire.{room}")
    names = list(getattr(module, "__all__", ()))
    assert names == as_listed(names)
    assert not [name for name in names if not hasattr(module, name)]


def test_the_front_door_is_small() -> None:
    """The package itself offers at most forty names, sorted."""
    package = importlib.import_module("schemawire")
    names = list(package.__all__)
    assert names == as_listed(names)
    assert len(names) <= 40
    assert not [name for name in names if not hasattr(package, name)]


def test_base_install_does_not_need_the_server() -> None:
    """Rooms for clients never import what only the server extra brings."""
    server_only = {"fastapi", "uvicorn", "sqlalchemy", "alembic", "starlette"}
    wrong = []
    for path, tree in sources().items():
        if room_of(path) in {"service", "_embedded", "testing", "cli"}:
            continue
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{path}: {name}" for name in names if name.split(".")[0] in server_only]
    assert not wrong, wrong


def test_dependencies_name_no_index() -> None:
    """Constraints and project files work with any mirror."""
    texts = {
        name: (ROOT / name).read_text("utf-8") for name in ("constraints.txt", "requirements-dev.txt", "pyproject.toml")
    }
    assert not [name for name, text in texts.items() if re.search(r"(index-url|find-links|file:///)", text)]
    assert not (ROOT / "uv.lock").exists()
