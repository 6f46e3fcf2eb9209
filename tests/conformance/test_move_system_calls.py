"""What an image of a C-MOVE costs in system calls: counts, because they do not depend on the machine."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.studies import write_ct_study
from tests.harness.peers import storescp

IMAGES = 40

#: A node in a process of its own, so that strace sees nothing else. Storing comes first and is not traced: the calls
#: that are counted are none that storing makes (packs are written with pwritev).
MOVING = """
import sys
from pathlib import Path
from tests.conformance.retrieve_node import running_node
from tests.conformance.retrieve_scu import STUDY_MOVE, move, requesting, study_identifier
import pydicom

directory, port = Path(sys.argv[1]), int(sys.argv[2])
with running_node(directory / "node") as node:
    paths = sorted((directory / "study").iterdir())
    for path in paths:
        node.keep(path)
    node.add_destination("DEST", port, associations_max=1)
    study = pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID
    with requesting(node.port, STUDY_MOVE) as association:
        final = list(move(association, study_identifier(study)))[-1]
    assert (final.status, final.completed) == (0, len(paths)), final
"""


def test_an_image_takes_one_read_one_write_and_one_receive(tmp_path: Path) -> None:
    write_ct_study(tmp_path / "study", seed=1, slices=IMAGES)
    trace = tmp_path / "trace"
    with storescp(tmp_path / "peer") as peer:
        command = [sys.executable, "-c", MOVING, tmp_path, str(peer.port)]
        subprocess.run(
            ["strace", "-f", "-e", "trace=sendmsg,pread64", "-o", trace, *command],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parents[2],
        )
        assert len(peer.files()) == IMAGES

    calls = Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    large_reads = re.findall(r"pread64\(.*\) = 52\d{4}$", trace.read_text(), re.MULTILINE)
    large_writes = re.findall(r"sendmsg\(.*\) = 52\d{4}$", trace.read_text(), re.MULTILINE)
    assert len(large_reads) == IMAGES
    # A write of half a megabyte may be taken in two parts when the peer is slow; most are not.
    assert len(large_writes) >= IMAGES // 2
    # Besides: the association, and the responses to the peer that asked.
    assert calls["sendmsg"] <= 2 * IMAGES + 20
