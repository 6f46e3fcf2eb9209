"""The project's own files, found through git so that build products and other people's code are left out."""

import ast
import functools
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("foundation", "storage_tiers", "pacs", "oncall", "territory")


@functools.cache
def tracked(*patterns: str) -> tuple[Path, ...]:
    """Return the files under version control (or about to be) that match git pathspecs, relative to the root."""
    # A checkout may belong to another user than the one who runs the tests.
    git = ["git", "-c", "safe.directory=*"]
    command = [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return tuple(Path(name) for name in sorted(set(listed.stdout.split("\0"))) if name and (ROOT / name).exists())


def python_files(*packages: str) -> tuple[Path, ...]:
    """Return the Python files of some packages; of the whole project without arguments."""
    return tracked(*(f"{package}/**.py" for package in packages)) if packages else tracked("*.py")


def text_of(path: Path) -> str:
    """Return a file's text."""
    return (ROOT / path).read_text()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """Return a Python file's syntax tree."""
    return ast.parse(text_of(path), filename=str(path))
