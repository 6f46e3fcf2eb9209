"""Packages import only downwards; the contracts themselves are in setup.cfg."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.architecture.sources import ROOT, python_files, tree_of


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout


# The rooms of `oncall` that decide, and the two modules in them that keep rows; the other contract is in setup.cfg.
DECISIONS: Final = (
    "oncall/case",
    "oncall/reading",
    "oncall/rota",
    "oncall/escalation",
    "oncall/chain",
    "oncall/ladder",
)
METRONOME: Final = Path("oncall/engine/metronome.py")
CLOCK_READINGS: Final = {"now", "utcnow", "today", "monotonic", "monotonic_s", "perf_counter", "time_ns"}
KEEPS_ROWS: Final = {Path("oncall/case/sql_log.py"), Path("oncall/rota/swap_store.py")}


def imported_by(path: Path) -> set[str]:
    """Return the modules that a file names in its imports, and what it takes from them as if these were modules too."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update({node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


def test_no_decision_of_the_on_call_engine_asks_a_module_that_keeps_rows_or_reads_the_time() -> None:
    forbidden = {".".join(path.with_suffix("").parts) for path in KEEPS_ROWS}
    forbidden |= {"oncall.schema", "oncall.timers", "foundation.clock", "foundation.database", "sqlalchemy", "time"}
    deciding = [path for path in python_files("oncall") if str(path).startswith(DECISIONS) and path not in KEEPS_ROWS]
    asking = [f"{path} {name}" for path in deciding for name in sorted(imported_by(path) & forbidden)]

    assert len(deciding) > 50
    assert asking == []


def test_no_decision_of_the_on_call_engine_calls_a_clock() -> None:
    reading = [
        f"{path}:{node.lineno}"
        for path in python_files("oncall")
        if str(path).startswith((*DECISIONS, "oncall/engine")) and path != METRONOME
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_READINGS
    ]

    assert reading == []


def test_no_package_imports_tests_or_benchmarks_but_the_demo_and_its_rehearsal() -> None:
    importing = [
        f"{path}:{node.lineno}"
        for path in python_files("foundation", "storage_tiers", "pacs", "oncall", "territory")
        if not path.name.startswith("demo") and path.parent.name != "rehearsal"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        if name.split(".")[0] in {"tests", "benchmarks"}
    ]

    assert importing == []
