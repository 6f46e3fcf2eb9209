"""``telegarde demo``: a territory with its roster, and a real node at work on generated studies, step by step.

Everything shown is checked: with ``--once`` the exit code is 0 only when all of it worked. Without it the node keeps
serving, and the last lines say how to talk to it. Only synthetic patients appear here, so their names may be shown.
"""

import argparse
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from pydicom import Dataset, dcmread
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from benchmarks.studies import write_ct_study, write_mr_study
from foundation.database import Database, sqlite_url
from oncall.rota.timeline import Timeline
from oncall.spans import Span
from pacs.scu.send import SendProgress, SendReport, send
from territory import cli, demo_story
from territory.bootstrap import JOURNAL_DIRECTORY
from territory.cli_output import progress, size
from territory.demo_node import (
    LOOPBACK,
    NODE_AET,
    DemoNode,
    StepFailed,
    Workstation,
    count_identical,
    sop_instance_uid_of,
)
from territory.demo_oncall import put_in_force
from territory.demo_picture import as_text, grey_levels, shrunk, write_png
from territory.settings_model import DATABASE_FILE_NAME

_PARALLEL: Final = 4
# How much of the third study has been confirmed when the node is killed.
_PLUG_AFTER: Final = 0.2
_PICTURE_COLUMNS: Final = 44
_PNG_PIXELS: Final = 256
_PICTURE_WIDTH: Final = 118
_DEMO_DIRECTORY: Final = Path(".data")


def main() -> int:
    """Run the demo as ``make demo`` does."""
    return cli.run(["demo", *sys.argv[1:]])


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return 0 when everything that it showed worked.

    With ``--data`` what was made stays there. Without, it stays only as long as the demo serves.
    """
    width = _PICTURE_WIDTH if arguments.pictures is not None else None
    # With --json the one object on standard output is the result; what is shown goes to the other.
    console = Console(highlight=False, record=arguments.pictures is not None, width=width, stderr=arguments.json)
    if arguments.variant is not None:
        return _rehearse(console, arguments)
    demo = Demo(console, _places(arguments), slices=arguments.slices)
    try:
        demo.show()
        if arguments.pictures:
            demo.write_pictures(arguments.pictures)
        if not arguments.once:
            demo.keep_serving()
        code = demo.end()
    except StepFailed as failure:
        console.print(f"[bold red]This did not work:[/] {failure}")
        code = 1
    except KeyboardInterrupt:
        code = demo.end()
    finally:
        demo.node.pull_the_plug()
        if arguments.once and arguments.data is None:
            _clear(demo.places.files)
    if arguments.json:
        print(json.dumps({"worked": code == 0, "data": str(demo.places.data), **demo.facts}))
    return code


def _rehearse(console: Console, arguments: argparse.Namespace) -> int:
    """Play nights of the story only; everything is made in a directory of its own and goes with it."""
    with tempfile.TemporaryDirectory() as place:
        try:
            shown = demo_story.show(console, Path(place), demo_story.chosen(arguments.variant))
        except StepFailed as failure:
            console.print(f"[bold red]This did not work:[/] {failure}")
            shown = {}
    if arguments.pictures is not None and shown:
        _write_svg(console, arguments.pictures / "story.svg", title=f"telegarde demo --variant {arguments.variant}")
    if arguments.json:
        print(json.dumps({"worked": bool(shown), "story": shown}))
    return 0 if shown else 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where the node keeps its data, and where generated files, pictures and the log go."""

    data: Path
    files: Path


def _places(arguments: argparse.Namespace) -> Places:
    if arguments.data is not None:
        data = arguments.data.absolute()
        return Places(data=data, files=data / "demo")
    files = (_DEMO_DIRECTORY / f"demo-{datetime.now(UTC):%Y%m%dT%H%M%S}").absolute()
    return Places(data=files / "node", files=files)


def _clear(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    # Demos that were kept are somebody's: only an empty directory goes.
    with contextlib.suppress(OSError):
        directory.parent.rmdir()


class Demo:
    """The steps, in order; each prints what it does and raises `StepFailed` when it does not work."""

    def __init__(self, console: Console, places: Places, *, slices: int) -> None:
        self.places = places
        self.node = DemoNode(places.data, places.files / "node.log")
        self.facts: dict[str, Any] = {}
        self._console = console
        self._directory = places.files
        self._slices = slices
        self._step = 0
        self._ct: list[Path] = []
        self._mr: list[Path] = []
        self._retrieved: list[Dataset] = []

    def show(self) -> None:
        """Run every step; an archive that is there already is not shown again."""
        is_first = not (self.places.data / JOURNAL_DIRECTORY).exists()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._territory()
        if not is_first:
            self._console.print("An archive is there already: it is served as it is.")
            self._start()
            return
        self._generate()
        self._start()
        self._send()
        self._find()
        self._move_and_look()
        self._pull_the_plug()
        self._verify()
        self._rehearse()

    def _territory(self) -> None:
        self._say("A territory that does not exist", "territory/demo_territory.py")
        self.places.data.mkdir(parents=True, exist_ok=True)
        database = Database(sqlite_url(self.places.data / DATABASE_FILE_NAME))
        began_s = time.monotonic()
        try:
            made = put_in_force(database)
        finally:
            database.close()
        now = datetime.now(UTC)
        tonight = max(now, made.roster.plans[0].span.start) if made.roster.plans else now
        timeline = Timeline(made.roster, made.directory, Span(start=tonight, end=tonight + timedelta(days=3)))
        change = next((one.span.start for one in timeline.shifts if one.span.start > tonight), tonight)
        table = Table("line", "name", "from", "to", box=None, pad_edge=False)
        zone = ZoneInfo(made.roster.lines[0].time_zone)
        names = {line.line_id: line.name for line in made.roster.lines}
        for shift in timeline.on_duty(change):
            start, end = (one.astimezone(zone) for one in (shift.span.start, shift.span.end))
            person = made.directory.persons[shift.person_id]
            table.add_row(names[shift.line_id], person.name, f"{start:%a %d %b %H:%M}", f"{end:%a %d %b %H:%M}")
        self.facts["territory"] = {
            "sites": len(made.directory.sites),
            "radiologists": made.radiologists,
            "persons": len(made.directory.persons),
            "lines": len(made.roster.lines),
            "shifts": len(made.roster.plans),
            "roster_version": made.roster.version,
            "is_new": made.is_new,
        }
        self._console.print(
            f"{len(made.directory.sites)} hospitals, {made.radiologists} radiologists, {len(made.roster.plans)} shifts "
            f"of 2026 and 2027 in {time.monotonic() - began_s:.1f} s; the next to be on duty:"
        )
        self._console.print(table)

    def _say(self, what: str, detail: str = "") -> None:
        self._step += 1
        self._console.print(f"\n[bold cyan]{self._step}[/] [bold]{what}[/]  [dim]{detail}[/]")

    def _generate(self) -> None:
        self._say("Two studies of patients who do not exist", "benchmarks/studies.py")
        self._ct = write_ct_study(self._directory / "ct", seed=1, slices=self._slices)
        self._mr = write_mr_study(self._directory / "mr", seed=2)
        table = Table("study", "images", "each", "all", box=None, pad_edge=False)
        for name, files in (("CT head", self._ct), ("MR head", self._mr)):
            sizes = [path.stat().st_size for path in files]
            table.add_row(name, str(len(files)), size(sizes[0]), size(sum(sizes)))
        self._console.print(table)

    def _start(self) -> None:
        self._say("A node starts", "telegarde serve --data ... --open-loopback")
        began_s = time.monotonic()
        health = self.node.start()
        self.node.echo()
        seconds = time.monotonic() - began_s
        self._console.print(
            f"ready after {seconds:.1f} s: AE title {health['aet'][0]}, port {self.node.dicom_port}, "
            f"{len(health['workers'])} workers; C-ECHO answered {self._foreign_echo()}"
        )

    def _foreign_echo(self) -> str:
        echoscu = shutil.which("echoscu")
        if echoscu is None:
            return "(pynetdicom)"
        command = [echoscu, "-aec", NODE_AET, LOOPBACK, str(self.node.dicom_port)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            raise StepFailed("DCMTK's echoscu got no answer")
        return "(pynetdicom, DCMTK)"

    def _send(self) -> None:
        self._say("Both studies are sent to it", f"telegarde send --parallel {_PARALLEL}")
        report = self._sent([*self._ct, *self._mr], parallel=_PARALLEL)
        if not report.is_complete:
            raise StepFailed(f"{report.failed} instances were not sent: {report.failures} {report.errors}")
        self._console.print(_rates(report) + ", each confirmed when its bytes were on disk")

    def _sent(
        self, files: list[Path], *, parallel: int, on_progress: Callable[[SendProgress], None] | None = None
    ) -> SendReport:
        with progress("C-STORE", unit="instances") as advance:

            def show(now: SendProgress) -> None:
                advance(now.done, now.instances)
                if on_progress is not None:
                    on_progress(now)

            return send(
                files,
                host=LOOPBACK,
                port=self.node.dicom_port,
                calling_aet="DEMO",
                called_aet=NODE_AET,
                parallel=parallel,
                on_progress=show,
            )

    def _find(self) -> None:
        self._say("It finds them", "C-FIND asked with pynetdicom")
        studies = self.node.find_studies()
        self._console.print(_study_table(studies))
        counts = {str(one.ModalitiesInStudy): int(one.NumberOfStudyRelatedInstances) for one in studies}
        if counts != {"CT": len(self._ct), "MR": len(self._mr)}:
            raise StepFailed(f"C-FIND counts {counts}")

    def _move_and_look(self) -> None:
        self._say("A workstation gets them", "C-MOVE to a storage SCP of pynetdicom's")
        workstation = Workstation(self.node.workstation_port)
        try:
            began_s = time.monotonic()
            for study in self.node.find_studies():
                self.node.move(study.StudyInstanceUID)
            seconds = time.monotonic() - began_s
        finally:
            workstation.close()
        files = [*self._ct, *self._mr]
        identical = count_identical(files, workstation.received)
        if identical != len(files):
            raise StepFailed(f"only {identical} of {len(files)} came back as they were sent")
        self._console.print(f"{identical} images in {seconds:.1f} s, every one byte for byte as it was sent")
        # The middle of the head; the MR study has four series, one after another.
        shown = (self._ct[len(self._ct) // 2], self._mr[len(self._mr) // 8])
        self._retrieved = [dcmread(BytesIO(workstation.received[sop_instance_uid_of(path)])) for path in shown]
        grid = Table.grid(padding=(0, 4))
        grid.add_row(*(self._picture(ds) for ds in self._retrieved))
        # Not recorded: as a vector graphic it would be large, and `write_pictures` has better ones.
        Console(width=self._console.width, stderr=self._console.stderr).print(grid)

    def _picture(self, ds: Dataset) -> Group:
        grey = grey_levels(ds)
        write_png(self._directory / f"{ds.Modality}.png", grey)
        columns = min(_PICTURE_COLUMNS, (self._console.width - 4) // 4 * 2)
        has_colour = self._console.color_system is not None
        title = Text(f"{ds.Modality} · {ds.SeriesDescription} · image {ds.InstanceNumber}", style="dim")
        return Group(title, as_text(grey, columns=columns, has_colour=has_colour))

    def _pull_the_plug(self) -> None:
        self._say("Another study comes, and in the middle of it every process is killed", "kill -9")
        files = write_ct_study(self._directory / "ct2", seed=3, slices=self._slices, region="thorax")
        plug = Plug(self.node)
        report = self._sent(files, parallel=1, on_progress=plug.look)
        began_s = time.monotonic()
        self.node.start()
        seconds = time.monotonic() - began_s
        uid = str(dcmread(files[0], specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
        kept = sum(int(study.NumberOfStudyRelatedInstances) for study in self.node.find_studies(StudyInstanceUID=uid))
        self._console.print(
            f"{report.sent} of {len(files)} had been confirmed; after {seconds:.1f} s a new node had recovered {kept}"
        )
        if kept < report.sent:
            raise StepFailed(f"{report.sent} were confirmed, but only {kept} are there")
        again = self._sent(files, parallel=_PARALLEL)
        if not again.is_complete:
            raise StepFailed(f"sending again failed: {again.failures} {again.errors}")
        self._console.print(f"sent again: {again.sent} confirmed, kept once")

    def _verify(self) -> None:
        self._say("Every byte is read again and compared", "telegarde verify")
        found = self.node.command("verify", "--data", str(self.node.data))
        wanted = len(self._ct) + len(self._mr) + self._slices
        table = Table(*found, box=None, pad_edge=False)
        table.add_row(*(f"{value:,}" for value in found.values()))
        self._console.print(table)
        if found != {"instances": wanted, "bytes": found["bytes"], "missing": 0, "corrupt": 0, "unindexed": 0}:
            raise StepFailed(f"verify expected {wanted} instances and nothing wrong")

    def _rehearse(self) -> None:
        self._say(
            "An emergency at night, from the request to the report",
            "a clock moved by hand; telegarde demo --variant all",
        )
        with tempfile.TemporaryDirectory() as place:
            self.facts["story"] = demo_story.show(self._console, Path(place), ["loire"])
        self._console.print("[bold green]All of it worked.[/]")

    def write_pictures(self, directory: Path) -> None:
        """Write what was shown as ``demo.svg`` and the retrieved slices, side by side, as ``slices.png``."""
        _write_svg(self._console, directory / "demo.svg", title="make demo")
        slices = [shrunk(grey_levels(ds), rows=_PNG_PIXELS, columns=_PNG_PIXELS) for ds in self._retrieved]
        write_png(directory / "slices.png", np.hstack(slices))

    def keep_serving(self) -> None:
        """Say how to talk to the node, and wait for Ctrl-C."""
        port, data = self.node.dicom_port, self.node.data
        lines = [
            f"telegarde send FOLDER --host {LOOPBACK} --port {port}",
            f"findscu -S -aec {NODE_AET} {LOOPBACK} {port} -k QueryRetrieveLevel=STUDY -k PatientName -k StudyDate",
            f"curl http://{LOOPBACK}:{self.node.http_port}/health",
            f"telegarde status --data {data}",
            f"telegarde oncall who --data {data}",
        ]
        self._console.print(
            Panel(
                "\n".join(lines),
                title=f"The node keeps serving: AE title {NODE_AET}, {LOOPBACK} port {port}; end it with Ctrl-C",
                title_align="left",
                subtitle=f"telegarde is .venv/bin/telegarde; pictures and log in {self._directory}",
                subtitle_align="left",
            )
        )
        threading.Event().wait()

    def end(self) -> int:
        """Stop the node gracefully; return 0 if it ended well."""
        code = self.node.stop()
        self._console.print("The node has stopped." if code == 0 else f"The node ended with exit code {code}.")
        return 0 if code == 0 else 1


class Plug:
    """Kills the node once, when sending has got somewhere and is not done."""

    def __init__(self, node: DemoNode) -> None:
        self._node = node
        self._is_pulled = False

    def look(self, now: SendProgress) -> None:
        """Pull the plug at the first look after some confirmations (or at the end, if sending was faster)."""
        if now.done >= now.instances * _PLUG_AFTER and not self._is_pulled:
            self._is_pulled = True
            self._node.pull_the_plug()


def _write_svg(console: Console, path: Path, *, title: str) -> None:
    """Write what was printed as a picture, without the web fonts that rich names: it must not fetch anything."""
    path.write_text(re.sub(r"@font-face \{.*?\}", "", console.export_svg(title=title), flags=re.DOTALL))


def _rates(report: SendReport) -> str:
    return (
        f"{report.sent} images, {size(report.bytes_sent)} in {report.seconds:.2f} s: "
        f"[bold]{report.sent / report.seconds:.0f} images/s, {report.bytes_sent / report.seconds / 1e6:.0f} MB/s[/]"
    )


def _study_table(studies: list[Dataset]) -> Table:
    table = Table("patient", "ID", "study", "date", "modality", "series", "images", box=None, pad_edge=False)
    for study in studies:
        table.add_row(
            str(study.PatientName).replace("^", ", ", 1).replace("^", " "),
            str(study.PatientID),
            str(study.StudyDescription),
            str(study.StudyDate),
            str(study.ModalitiesInStudy),
            str(study.NumberOfStudyRelatedSeries),
            str(study.NumberOfStudyRelatedInstances),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
