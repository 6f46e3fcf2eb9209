"""``telegarde init`` and ``telegarde check-config``: before a node is served."""

import argparse
from pathlib import Path
from typing import Final

from foundation.errors import Refused
from territory import bootstrap, settings
from territory.cli_output import answer
from territory.settings import describe, load
from territory.settings_model import CONFIGURATION_NAME

_EXAMPLE: Final = Path(settings.__file__).with_name("telegarde.example.toml")
# Tables of the example that name things only the operator knows.
_LEFT_TO_THE_OPERATOR: Final = (
    "[dicom.tls]", "[[peers]]", "[[destinations]]", "[[routes]]", "[[watched_sites]]", "[hl7]", "[[hl7.senders]]",
    "[[hl7.destinations]]",
)  # fmt: skip


class AlreadyThere(Refused):
    """`init` never writes over a configuration."""


def run(arguments: argparse.Namespace) -> int:
    """Run ``init`` or ``check-config``."""
    return _init(arguments) if arguments.command == "init" else _check_config(arguments)


def _init(arguments: argparse.Namespace) -> int:
    data_dir: Path = arguments.data.absolute()
    path = data_dir / CONFIGURATION_NAME
    if path.exists():
        raise AlreadyThere(f"{path} is there already; edit it, or choose another directory")
    text = initial_configuration(_EXAMPLE.read_text(), data_dir=data_dir, aet=arguments.aet)
    # Checked before anything is written: an AE title from the command line may be wrong.
    settings.parse(text.encode(), source="command line", environment={})
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}; choose a directory that this user may write") from error
    answer(
        arguments,
        {
            "data": str(data_dir),
            "configuration": str(path),
            "next": [
                f"add your modalities and workstations under [[peers]] in {path}",
                f"telegarde check-config {path}",
                f"telegarde serve --data {data_dir}",
            ],
        },
        title="Made; nobody may connect yet",
    )
    return 0


def initial_configuration(example: str, *, data_dir: Path, aet: str) -> str:
    """Return the text of a first configuration: every setting explained, no peer, no TLS.

    Parameters
    ----------
    example : str
        The text of ``telegarde.example.toml``.
    """
    lines = []
    is_left_out = False
    for line in example.splitlines():
        if line.startswith("["):
            is_left_out = line in _LEFT_TO_THE_OPERATOR
        if line.startswith("data_dir = "):
            lines.append(f"data_dir = {_toml_text(str(data_dir))}")
        elif line.startswith("aet = ["):
            lines.append(f"aet = [{_toml_text(aet)}]")
        elif is_left_out and line and not line.startswith("#"):
            lines.append(f"#{line}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _toml_text(value: str) -> str:
    escaped = "".join(
        f"\\u{ord(character):04x}" if ord(character) < 0x20 or character in '"\\' else character for character in value
    )
    return f'"{escaped}"'


def _check_config(arguments: argparse.Namespace) -> int:
    path: Path = arguments.file or arguments.config
    read = load(path)
    bootstrap.check_tls_files(read)
    found = describe(read)
    answer(arguments, found if arguments.json else {"peers": len(found["peers"])}, title=f"{path} can be used")
    return 0
