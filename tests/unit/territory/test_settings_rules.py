"""Settings become the rules of `pacs`, granting nothing that they do not say."""

from pathlib import Path

from pacs.scp.access import Admitted, Call, Load, Rejected, decide
from territory.settings import open_loopback, parse
from territory.settings_rules import access_rules, presentation_policy, tls_files

IDLE = Load(associations=0, associations_of_peer=0)
TOML = b"""
[archive]
data_dir = "/srv/telegarde"
[dicom]
aet = ["TELEGARDE", "ARCHIVE"]
[dicom.storage]
private_sop_classes = ["1.2.840.113619.4.30"]
[dicom.tls]
certificate_file = "/tls/node.crt"
key_file = "/tls/node.key"
ca_file = "/tls/ca.crt"
[[peers]]
aet = "CT1"
host = "10.4.1.20"
port = 104
rights = ["store", "commit"]
issuer = "NORTH"
associations_max = 3
[[peers]]
aet = "READING_ROOM"
host = "10.4.9.7"
port = 11112
tls = true
certificate_names = ["Reading.Room"]
addresses = ["10.4.9.0/24"]
rights = ["query", "retrieve"]
move_destinations = ["READING_ROOM"]
[[peers]]
aet = "CONSOLE"
addresses = ["10.4.9.8"]
rights = ["retrieve", "worklist", "workitems"]
site = "roanne"
move_destinations = ["*"]
[[peers]]
aet = "ONLY_CALLED"
host = "10.4.9.9"
port = 104
"""
SETTINGS = parse(TOML, source="test", environment={"TELEGARDE_TLS_KEY_PASSWORD": "swordfish"})


def test_each_peer_gets_the_rights_that_it_is_configured_with() -> None:
    rules = access_rules(SETTINGS)

    ct = rules.peers["CT1"]
    assert (ct.rights.may_store, ct.rights.may_commit, ct.rights.issuer) == (True, True, "NORTH")
    assert (ct.rights.may_query, ct.rights.may_retrieve) == (False, False)
    assert ct.rights.move_destinations == frozenset()
    assert ct.associations_max == 3
    reading_room = rules.peers["READING_ROOM"]
    assert reading_room.rights.move_destinations == frozenset({"READING_ROOM"})
    assert reading_room.certificate_names == {"reading.room"}
    assert reading_room.requires_tls
    assert reading_room.associations_max == SETTINGS.dicom.limits.associations_per_peer_max
    console = rules.peers["CONSOLE"].rights
    assert console.move_destinations is None
    assert (console.may_worklist, console.may_workitems, console.site) == (True, True, "roanne")
    assert (ct.rights.may_worklist, ct.rights.may_workitems, ct.rights.site) == (False, False, "")


def test_a_peer_that_is_only_called_may_not_call() -> None:
    rules = access_rules(SETTINGS)

    assert "ONLY_CALLED" not in rules.peers
    assert rules.anyone is None


def test_the_node_answers_to_each_of_its_ae_titles() -> None:
    assert access_rules(SETTINGS).called_aets == {"TELEGARDE", "ARCHIVE"}


def test_open_loopback_admits_any_title_from_this_machine_and_nobody_else(tmp_path: Path) -> None:
    settings = open_loopback(
        data=tmp_path, aet="DEMO", dicom_port=11112, http_port=8042, peers=["VIEWER=192.0.2.7:104"]
    )
    rules = access_rules(settings)

    def call(address: str, calling_aet: str) -> Admitted | Rejected:
        return decide(
            rules, Call(called_aet="DEMO", calling_aet=calling_aet, address=address, certificate_names=None), IDLE
        )

    local = call("127.0.0.1", "ANYBODY")
    assert isinstance(local, Admitted)
    rights = local.rights
    assert all((rights.may_store, rights.may_query, rights.may_retrieve, rights.may_commit))
    # Whose console it is, the directory says (`territory.published_sites`).
    assert (rights.may_worklist, rights.may_workitems, rights.site) == (True, True, "")
    assert rights.move_destinations is None
    assert isinstance(call("127.0.0.1", "VIEWER"), Admitted)
    assert isinstance(call("192.0.2.7", "VIEWER"), Rejected)
    assert isinstance(call("192.0.2.8", "ANYBODY"), Rejected)


def test_private_sop_classes_are_those_configured() -> None:
    policy = presentation_policy(SETTINGS)

    assert policy.is_storage("1.2.840.113619.4.30")
    assert not policy.is_storage("1.2.840.113619.4.31")


def test_tls_files_are_those_configured_and_none_without_tls(tmp_path: Path) -> None:
    files = tls_files(SETTINGS)

    assert files is not None
    assert (files.certificate_file, files.ca_file) == (Path("/tls/node.crt"), Path("/tls/ca.crt"))
    assert files.key_password == "swordfish"
    assert "swordfish" not in repr(files)
    assert tls_files(open_loopback(data=tmp_path, aet="DEMO", dicom_port=11112, http_port=8042)) is None
