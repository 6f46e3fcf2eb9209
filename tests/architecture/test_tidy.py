"""What STYLE.md demands and ruff cannot see. A failure lists every place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.architecture.sources import PACKAGES, python_files, text_of, tracked, tree_of

FILE_LINES_MAX: Final = 600
FUNCTION_LINES_MAX: Final = 70
VAGUE_NAMES: Final = frozenset(
    {"utils", "util", "helpers", "helper", "manager", "common", "misc", "v2", "new", "final"}
)
# Answers of the command line, of benchmarks and of programs that tests start are printed; all else is logged.
MAY_PRINT: Final = re.compile(r"^(benchmarks/|territory/(cli|demo)|tests/)")
# Where waiting without a condition is right, and why.
MAY_SLEEP: Final = {
    "benchmarks/peers/processes.py": "looks again and again, with a deadline, at what only other programs can change",
}

FunctionDef = ast.FunctionDef | ast.AsyncFunctionDef


def none(found: list[str]) -> None:
    """Fail with every place found, one a line."""
    assert not found, "\n" + "\n".join(found)


def nodes(path: Path, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, kinds))


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` for an attribute chain; '' for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    for node in nodes(path, ast.Call):
        assert isinstance(node, ast.Call)
        yield node, dotted(node.func)


def test_there_are_sources_to_look_at() -> None:
    assert len(python_files(*PACKAGES)) > 30
    assert Path("tests/architecture/test_tidy.py") in python_files()


def test_no_file_is_too_long_to_find_ones_way_in() -> None:
    lengths = {path: text_of(path).count("\n") for path in python_files()}

    none([f"{path}: {lines} lines" for path, lines in lengths.items() if lines > FILE_LINES_MAX])


def test_no_function_is_too_long_to_read_at_once() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}: {lines} lines beside its docstring"
        for path in python_files()
        for node in nodes(path, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, FunctionDef) and (lines := code_lines(node)) > FUNCTION_LINES_MAX
    ]

    none(long)


def code_lines(function: FunctionDef) -> int:
    """Return a function's length in lines, without its docstring."""
    last = function.end_lineno or function.lineno
    first_statement = function.body[0]
    docstring_lines = 0
    if ast.get_docstring(function) is not None and first_statement.end_lineno is not None:
        docstring_lines = first_statement.end_lineno - first_statement.lineno + 1
    return last - function.lineno + 1 - docstring_lines


def test_every_module_says_what_it_is_for() -> None:
    none([str(path) for path in python_files() if text_of(path) and not ast.get_docstring(tree_of(path))])


def test_every_public_thing_of_the_packages_has_a_docstring() -> None:
    bare = [
        f"{path}:{node.lineno} {node.name}"
        for path in python_files(*PACKAGES)
        for parent in [tree_of(path), *nodes(path, ast.ClassDef)]
        if not (isinstance(parent, ast.ClassDef) and parent.name.startswith("_"))
        for node in public_definitions(parent)
        if ast.get_docstring(node) is None
        and not is_overload(node)
        and not is_documented_by_another(parent, node, path)
    ]

    none(bare)


def public_definitions(parent: ast.AST) -> list[FunctionDef | ast.ClassDef]:
    body = getattr(parent, "body", [])
    return [node for node in body if isinstance(node, FunctionDef | ast.ClassDef) and not node.name.startswith("_")]


def is_documented_by_another(parent: ast.AST, node: FunctionDef | ast.ClassDef, path: Path) -> bool:
    """Say whether another class of the module documents a method of this name: the one that this one implements."""
    return isinstance(parent, ast.ClassDef) and any(
        method.name == node.name and ast.get_docstring(method) is not None
        for one in nodes(path, ast.ClassDef)
        for method in public_definitions(one)
    )


def is_overload(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(dotted(decorator) in {"overload", "typing.overload"} for decorator in decorators)


def test_no_module_has_a_name_that_says_nothing() -> None:
    none([str(path) for path in python_files() if VAGUE_NAMES & set(path.stem.split("_"))])


def test_only_answers_are_printed() -> None:
    printing = [
        f"{path}:{call.lineno}"
        for path in python_files()
        if not MAY_PRINT.match(str(path))
        for call, name in calls(path)
        if name == "print"
    ]

    none(printing)


def test_nothing_sleeps_where_it_could_wait_for_a_condition() -> None:
    sleeping = [
        f"{path}:{call.lineno}"
        for path in python_files()
        if str(path) not in MAY_SLEEP
        for call, name in calls(path)
        if name in {"time.sleep", "sleep", "asyncio.sleep"}
    ]

    none(sleeping)


def test_every_place_that_may_sleep_still_does() -> None:
    none([path for path in MAY_SLEEP if "sleep(" not in text_of(Path(path))])


def test_no_datetime_is_naive() -> None:
    naive = [
        f"{path}:{call.lineno} {name}"
        for path in python_files()
        for call, name in calls(path)
        if name.endswith(("datetime.utcnow", "datetime.utcfromtimestamp", "datetime.today", "date.today"))
        or (name.endswith("datetime.now") and not call.args and not call.keywords)
    ]

    none(naive)


def test_only_the_clock_reads_the_systems_wall_time() -> None:
    reading = [
        f"{path}:{call.lineno} {name}"
        for path in python_files("storage_tiers", "pacs", "oncall")
        for call, name in calls(path)
        if name in {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now"}
    ]

    none(reading)


def test_no_except_is_bare() -> None:
    bare = [
        f"{path}:{handler.lineno}"
        for path in python_files()
        for handler in nodes(path, ast.ExceptHandler)
        if isinstance(handler, ast.ExceptHandler) and handler.type is None
    ]

    none(bare)


def test_every_exemption_from_a_rule_names_the_rule_and_the_reason() -> None:
    # Named apart, so that these lines are no exemptions themselves.
    exemption = re.compile(r"#\s*(?:no" + r"qa|type:\s*ig" + r"nore)(?P<rest>.*)$")
    reasoned = re.compile(r"^(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|\[[a-z-]+(?:,\s*[a-z-]+)*\])\s+#\s+\S.{8,}")
    blanket = [
        f"{path}:{number}: {line.strip()}"
        for path in python_files(*PACKAGES, "benchmarks")
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if (found := exemption.search(line)) and not reasoned.match(found["rest"])
    ]

    none(blanket)


def test_no_work_is_left_open_in_the_code() -> None:
    words = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|raise NotImplemented" + r"Error")
    left = [
        f"{path}:{number}"
        for path in python_files()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if words.search(line)
    ]

    none(left)


def test_no_test_is_skipped() -> None:
    skipping = re.compile(r"pytest\.sk" + r"ip|mark\.sk" + r"ip|import" + r"orskip|mark\.x" + r"fail")
    skipped = [
        f"{path}:{number}"
        for path in tracked("tests/**.py")
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if skipping.search(line)
    ]

    none(skipped)


def test_nothing_names_a_path_or_a_registry_of_the_machine_it_was_written_on() -> None:
    machine = re.compile(r"(?<![\w/.-])/(?:work|root|home)/\w|index-url|find-links|file://" + r"/")
    named = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in tracked("*.py", "*.md", "*.toml", "*.cfg", "*.txt", "Makefile", ".ci/*")
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if machine.search(line) and path.name != "test_tidy.py"
    ]

    none(named)


def test_every_test_name_says_what_holds() -> None:
    short = [
        f"{path}:{node.lineno} {node.name}"
        for path in tracked("tests/**/test_*.py")
        for node in nodes(path, ast.FunctionDef)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and node.name.count("_") < 3
    ]

    none(short)
