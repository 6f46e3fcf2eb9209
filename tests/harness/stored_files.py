"""A reader of instances made by `tests.harness.lookup_rows`, with faults to order."""

from dataclasses import dataclass, field

from foundation.errors import Unavailable
from pacs.contracts import InstanceRef
from tests.harness.lookup_rows import file_of


@dataclass(kw_only=True)
class StoredFiles:
    """Fulfils `pacs.archive.commitment.FileReader`."""

    missing: set[str] = field(default_factory=set)
    corrupt: set[str] = field(default_factory=set)
    short: set[str] = field(default_factory=set)
    read: list[str] = field(default_factory=list)

    def read_file(self, ref: InstanceRef) -> memoryview:
        """Return an instance's file as `lookup_rows` digested it, unless a fault was ordered."""
        uid = ref.sop_instance_uid
        self.read.append(uid)
        if uid in self.missing:
            raise Unavailable("the pack is missing")
        file = bytearray(file_of(uid))
        if uid in self.corrupt:
            file[-1] ^= 1
        return memoryview(file)[: -1 if uid in self.short else None]
