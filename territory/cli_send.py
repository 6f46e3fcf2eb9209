"""``telegarde send``: a fast sender of files, for trying nodes out and for moving archives."""

import argparse
import ssl
from pathlib import Path
from typing import Any

from foundation.errors import Refused
from pacs.scp import tls
from pacs.scu.send import PARALLEL_MAX, SendProgress, SendReport, send
from territory import settings_reader
from territory.cli_output import answer, progress
from territory.settings import InvalidSettings, Problem


def run(arguments: argparse.Namespace) -> int:
    """Run ``send``: exit code 1 when something was not sent, or nothing was found."""
    _check(arguments)
    with progress("send", unit="instances") as advance:

        def show(now: SendProgress) -> None:
            advance(now.done, now.instances)

        report = send(
            arguments.paths,
            host=arguments.host,
            port=arguments.port,
            calling_aet=arguments.aet,
            called_aet=arguments.aec,
            parallel=arguments.parallel,
            tls=_tls_of(arguments),
            on_progress=show,
        )
    answer(arguments, as_json(report), title=_title(report))
    return 0 if report.is_complete and report.sent else 1


def as_json(report: SendReport) -> dict[str, Any]:
    """Return a report as plain values; rates are None when nothing was sent."""
    rate = 1 / report.seconds if report.sent and report.seconds > 0 else None
    return {
        "instances": report.instances,
        "sent": report.sent,
        "warnings": report.warnings,
        "failed": report.failed,
        "failures": report.failures,
        "transcoded": report.transcoded,
        "bytes": report.bytes_sent,
        "seconds": round(report.seconds, 3),
        "images_per_s": round(report.sent * rate, 1) if rate else None,
        "mb_per_s": round(report.bytes_sent * rate / 1e6, 1) if rate else None,
        "skipped": len(report.skipped),
        "errors": list(report.errors),
    }


def _title(report: SendReport) -> str:
    if not report.instances:
        return "No DICOM instance found"
    return "All sent" if report.is_complete else "NOT ALL SENT: see failures; send again, what is there is kept once"


def _check(arguments: argparse.Namespace) -> None:
    problems = []
    for option, reader in (
        ("aet", settings_reader.ae_title),
        ("aec", settings_reader.ae_title),
        ("host", settings_reader.host_name),
        ("port", settings_reader.port),
        ("parallel", settings_reader.whole_number(1, PARALLEL_MAX)),
    ):
        try:
            reader(getattr(arguments, option))
        except settings_reader.Invalid as error:
            problems.append(Problem(key=f"--{option}", message=str(error)))
    problems += [
        Problem(key=str(path), message="there is no such file or folder")
        for path in arguments.paths
        if not Path(path).exists()
    ]
    if problems:
        raise InvalidSettings("command line", problems)


def _tls_of(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    files = (arguments.tls_ca, arguments.tls_certificate, arguments.tls_key)
    if files == (None, None, None):
        return None
    if None in files:
        raise Refused("TLS needs all of --tls-ca, --tls-certificate and --tls-key: both ends show certificates")
    ca_file, certificate_file, key_file = files
    return tls.client_context(tls.TlsFiles(certificate_file=certificate_file, key_file=key_file, ca_file=ca_file))
