"""Plays a variant of the story from beginning to end: node, scanner and hospital are made, and ended whatever happens.

For: the demo and the acceptance test. Not for: what happens (`territory.rehearsal.variants`).
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from territory.rehearsal.hospital import HospitalSystem
from territory.rehearsal.node import SCANNER_AET, RehearsalNode
from territory.rehearsal.scanner import Scanner
from territory.rehearsal.story import Story, Tell
from territory.rehearsal.variants import Variant


@contextmanager
def played(variant: Variant, directory: Path, tell: Tell) -> Iterator[Story]:
    """Play a variant; give the story as it ended, with its node still there to be asked.

    Parameters
    ----------
    directory : Path
        Empty; data and images stay there.
    tell : callable
        Told of each step.

    Raises
    ------
    territory.demo_node.StepFailed
        If something did not have its effect.
    """
    hospital = HospitalSystem()
    hospital.start()
    with closing(hospital):
        node = RehearsalNode(directory / "node", variant.begins_at, report_port=hospital.port)
        with closing(node):
            node.start()
            node.settle()
            scanner = Scanner(SCANNER_AET, node.dicom_port, directory / "scanner")
            scanner.plug(node.scanner_port)
            with closing(scanner):
                story = Story(node, scanner, hospital, tell)
                variant.play(story)
                yield story
