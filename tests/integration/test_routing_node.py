"""A whole node that forwards: DCMTK sends, DCMTK receives, the destination goes away, and the process is killed."""

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from pacs.archive import file_meta
from territory.cli import run
from tests.harness.configured_node import ConfiguredNode
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_LITTLE, image
from tests.harness.peers import LOOPBACK, free_port, run_client, storescp, wait_until


def settings_of(port: int) -> str:
    return f"""
[[peers]]
aet = "CT1"
addresses = ["{LOOPBACK}"]
rights = ["store"]
issuer = "NORTH"
site = "north"
[[peers]]
aet = "CHU"
host = "{LOOPBACK}"
port = {port}
[[destinations]]
name = "chu"
aet = "CHU"
first_wait_s = 1
wait_max_s = 1
[[routes]]
name = "north"
destinations = ["chu"]
sites = ["north"]
[[watched_sites]]
site = "north"
silent_after_s = 3600
"""


def write_study(directory: Path, number: int, images: int) -> Path:
    """Write the files of a study as a scanner keeps them."""
    folder = directory / f"study{number}"
    folder.mkdir()
    for one in range(images):
        uid = f"1.2.3.{number}.1.{one}"
        head = file_meta.encode(
            sop_class_uid=CT_IMAGE, sop_instance_uid=uid, transfer_syntax_uid=EXPLICIT_LITTLE, source_aet="CT1"
        )
        data_set = image(
            uid, study_instance_uid=f"1.2.3.{number}", series_instance_uid=f"1.2.3.{number}.1", patient_id=f"P{number}"
        )
        (folder / f"{one}.dcm").write_bytes(head + data_set)
    return folder


def send(node: ConfiguredNode, folder: Path) -> None:
    done = run_client("storescu", ["-aet", "CT1", "-aec", node.ae_title, "+sd", LOOPBACK, str(node.port), folder])
    assert done.returncode == 0, done.stderr


def interfaces_pid(node: ConfiguredNode) -> int | None:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{node.http_port}/health", timeout=20) as answer:
        found: int | None = json.loads(answer.read())["interfaces_pid"]
    return found


def test_studies_go_on_although_the_destination_leaves_and_the_process_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    with ConfiguredNode(tmp_path / "node", settings_of(port)) as node:
        with storescp(tmp_path / "chu", ae_title="CHU", port=port) as peer:
            send(node, write_study(tmp_path, 1, 20))
            wait_until(lambda: len(peer.files()) == 20, what="the first study at the destination")
        # Nobody is there any more: what comes waits, also over a kill.
        send(node, write_study(tmp_path, 2, 12))
        killed = interfaces_pid(node)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: interfaces_pid(node) not in {None, killed}, what="the next life of the process")
        with storescp(tmp_path / "again", ae_title="CHU", port=port) as peer:
            wait_until(lambda: len(peer.files()) == 12, what="the second study at the destination")

        def sent() -> list[tuple[str, int]]:
            run(["routes", "queue", "--all", "--json", "--data", str(node.data), "--config", str(node.settings)])
            items = json.loads(capsys.readouterr().out)["items"]
            return [(item["state"], item["sent"]) for item in items]

        wait_until(lambda: sent() == [("sent", 20), ("sent", 12)], what="the record of what was sent")
        assert run(["routes", "list", "--json", "--config", str(node.settings)]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert run(["routes", "sites", "--json", "--config", str(node.settings)]) == 0
        watched = json.loads(capsys.readouterr().out)

    (chu,) = listed["destinations"]
    assert (chu["to"], chu["state"], chu["instances_sent"], chu["instances_waiting"]) == ("CHU", "reachable", 32, 0)
    assert [route["route"] for route in listed["routes"]] == ["north"]
    # What is kept of a site between changes may lag by a minute.
    assert [site["state"] for site in watched["sites"]] in ([], ["heard"])
