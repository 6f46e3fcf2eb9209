"""The real peers that tests run beside our node; one place to import them from.

The code is in `benchmarks.peers`, because the benchmarks use it too and must not import tests.
"""

from benchmarks.peers.certificates import Certificates, KeyAndCertificate, make_certificates
from benchmarks.peers.dcmtk import StorageServer, TlsIdentity, dcmqrscp, run_client, storescp
from benchmarks.peers.orthanc import OrthancServer, orthanc
from benchmarks.peers.postgresql import PostgresqlServer, postgresql
from benchmarks.peers.processes import (
    LOOPBACK,
    PeerFailed,
    ServerProcess,
    dicom_environment,
    free_port,
    is_listening,
    wait_until,
)
from benchmarks.peers.pynetdicom_storage import pynetdicom_storage
from benchmarks.peers.telegarde_node import CommandFailed, TelegardeNode, run_telegarde, telegarde_json

__all__ = [
    "LOOPBACK",
    "Certificates",
    "CommandFailed",
    "KeyAndCertificate",
    "OrthancServer",
    "PeerFailed",
    "PostgresqlServer",
    "ServerProcess",
    "StorageServer",
    "TelegardeNode",
    "TlsIdentity",
    "dcmqrscp",
    "dicom_environment",
    "free_port",
    "is_listening",
    "make_certificates",
    "orthanc",
    "postgresql",
    "pynetdicom_storage",
    "run_client",
    "run_telegarde",
    "storescp",
    "telegarde_json",
    "wait_until",
]
