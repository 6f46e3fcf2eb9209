"""Structured logging: a constant event name plus fields from an allow-list, so patient data cannot slip in.

One line per event on standard error: time in UTC, level, event, ``key=value`` pairs. error = a human must act;
warning = we coped; info = one line per association or state change; debug = per message.
"""

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Final

# Every field that may appear in a log line. UIDs are pseudonyms that the operator needs to trace an instance; names,
# identifiers, dates of birth, accession numbers and descriptions are not here and never will be.
ALLOWED_FIELDS: Final = frozenset(
    {
        "abort_reason", "abort_source", "action", "address", "aet", "association", "attempt", "bytes",
        "called_aet", "calling_aet", "command", "completed", "conflicts", "context_id", "count", "cpu_ms",
        "destination", "duplicates", "duration_s", "error", "exit_code", "failed", "failures", "fault", "free_bytes",
        "host", "http_port", "images_per_s", "instances", "lane", "level", "matches", "mb_per_s", "members", "message",
        "offset", "pack", "path", "pdu_length", "pending", "pid", "port", "reason", "remaining", "result", "rule",
        "seconds", "series", "signal", "site", "sop_class", "sop_instance", "stall_ms", "state", "status", "study",
        "tls", "transaction", "transfer_syntax", "unindexed", "version", "warning", "worker", "workers",
    }
)  # fmt: skip

_LOGGER: Final = logging.getLogger("telegarde")


class LogFieldNotAllowed(AssertionError):
    """A log call used a field outside the allow-list: add it there only if it can never hold patient data."""


def configure(*, level: str = "INFO", prefix: str = "") -> None:
    """Send log lines to standard error; `prefix` tells processes apart."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(f"%(asctime)s.%(msecs)03dZ %(levelname)-7s {prefix}%(message)s")
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.datefmt = "%Y-%m-%dT%H:%M:%S"
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False


def debug(event: str, **fields: object) -> None:
    """Log one event per message; off by default."""
    if _LOGGER.isEnabledFor(logging.DEBUG):
        _LOGGER.debug("%s", render(event, fields))


def info(event: str, **fields: object) -> None:
    """Log one event per association or state change."""
    _LOGGER.info("%s", render(event, fields))


def warning(event: str, **fields: object) -> None:
    """Log what went wrong and was coped with."""
    _LOGGER.warning("%s", render(event, fields))


def error(event: str, **fields: object) -> None:
    """Log what a human must act on."""
    _LOGGER.error("%s", render(event, fields))


def render(event: str, fields: Mapping[str, object]) -> str:
    """Return the text of a log line, refusing fields outside the allow-list."""
    unknown = fields.keys() - ALLOWED_FIELDS
    if unknown:
        raise LogFieldNotAllowed(f"log fields not on the allow-list: {sorted(unknown)}")
    return " ".join([event, *(f"{key}={_render_value(value)}" for key, value in fields.items())])


def _render_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    rendered = str(value)
    # A peer chooses its AE title and UIDs: quote anything that could forge a line or another field.
    if rendered.isprintable() and not any(character in rendered for character in ' "='):
        return rendered
    return json.dumps(rendered)
