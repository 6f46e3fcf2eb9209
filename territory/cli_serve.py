"""``telegarde serve``: which settings a node is run with, and running it."""

import argparse
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foundation import log
from foundation.errors import Refused
from territory import serve, settings_reader
from territory.settings import Hl7, InvalidSettings, OncallWeb, Problem, Settings, load, open_loopback
from territory.settings_model import CONFIGURATION_NAME, WORKERS_MAX


def run(arguments: argparse.Namespace) -> int:
    """Run ``serve``; returns when the node has been stopped."""
    settings = settings_of(arguments)
    log.configure()
    serve.serve(settings, on_ready=_announcer(arguments, settings))
    return 0


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings that a command line asks for.

    Raises
    ------
    Refused
        If it says both or neither of a configuration and ``--open-loopback``.
    InvalidSettings
        If a value cannot be used.
    """
    if arguments.open_loopback:
        if arguments.config:
            raise Refused("--open-loopback is for serving without a configuration: remove it or --config")
        if not arguments.data:
            raise Refused("--open-loopback needs --data DIR, the directory to keep everything in")
        return open_loopback(
            data=arguments.data,
            aet=arguments.aet or "TELEGARDE",
            dicom_port=arguments.dicom_port if arguments.dicom_port is not None else 11112,
            http_port=arguments.http_port if arguments.http_port is not None else 8042,
            workers=arguments.workers,
            peers=arguments.peer,
            oncall_port=arguments.oncall_port,
            hl7_port=arguments.hl7_port,
        )
    if arguments.peer:
        raise Refused("--peer goes with --open-loopback; with a configuration, add the peer there under [[peers]]")
    return _overridden(load(_configuration(arguments)), arguments)


def _configuration(arguments: argparse.Namespace) -> Path:
    if arguments.config:
        return Path(arguments.config)
    if arguments.data and (arguments.data / CONFIGURATION_NAME).exists():
        return Path(arguments.data / CONFIGURATION_NAME)
    raise Refused(
        "nothing says who may connect: give --config FILE (telegarde init makes one), "
        "or --open-loopback to try it out on this machine only"
    )


def _overridden(settings: Settings, arguments: argparse.Namespace) -> Settings:
    problems: list[Problem] = []

    def read(option: str, reader: Callable[[Any], Any], configured: Any) -> Any:
        given = getattr(arguments, option)
        if given is None:
            return configured
        try:
            return reader(given)
        except settings_reader.Invalid as error:
            problems.append(Problem(key=f"--{option.replace('_', '-')}", message=str(error)))
            return configured

    dicom, http = settings.dicom, settings.http
    changed = dataclasses.replace(
        settings,
        archive=dataclasses.replace(
            settings.archive, data_dir=arguments.data.absolute() if arguments.data else settings.archive.data_dir
        ),
        dicom=dataclasses.replace(
            dicom,
            aet=read("aet", lambda given: (settings_reader.ae_title(given),), dicom.aet),
            port=read("dicom_port", settings_reader.port, dicom.port),
            workers=read("workers", settings_reader.whole_number(1, WORKERS_MAX), dicom.workers),
        ),
        http=dataclasses.replace(http, port=read("http_port", settings_reader.port, http.port)),
    )
    if arguments.oncall_port is not None:
        web = changed.oncall.web or OncallWeb()
        web = dataclasses.replace(web, port=read("oncall_port", settings_reader.port, web.port))
        changed = dataclasses.replace(changed, oncall=dataclasses.replace(changed.oncall, web=web))
    if arguments.hl7_port is not None:
        hl7 = changed.hl7 or Hl7()
        changed = dataclasses.replace(
            changed, hl7=dataclasses.replace(hl7, port=read("hl7_port", settings_reader.port, hl7.port))
        )
    if problems:
        raise InvalidSettings("command line", problems)
    return changed


def _announcer(arguments: argparse.Namespace, settings: Settings) -> Callable[[], None]:
    def announce() -> None:
        dicom = settings.dicom
        log.info("node_ready", aet=dicom.aet[0], port=dicom.port, http_port=settings.http.port, workers=dicom.workers)
        if arguments.json:
            facts = {"event": "ready", "pid": os.getpid(), "aet": dicom.aet[0]}
            print(json.dumps({**facts, "dicom_port": dicom.port, "http_port": settings.http.port}), flush=True)

    return announce
