"""Packages import only downwards; the contracts themselves are in setup.cfg."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.architecture.sources import ROOT, python_files, tree_of


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout


def test_no_package_imports_tests_or_benchmarks_but_the_demo() -> None:
    importing = [
        f"{path}:{node.lineno}"
        for path in python_files("foundation", "storage_tiers", "pacs", "oncall", "territory")
        if not path.name.startswith("demo")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        if name.split(".")[0] in {"tests", "benchmarks"}
    ]

    assert importing == []
