"""Makes a stored instance ready to be sent to one peer: read, checked, in a transfer syntax that the peer accepts.

Shared by C-MOVE and C-GET.

References
----------
PS3.4 C.4.2.2.1; PS3.5 10.1
"""

from foundation.errors import TelegardeError
from pacs.archive.retrieval import InstanceReader
from pacs.contracts import InstanceRef
from pacs.scu.pipeline import Ready
from pacs.scu.store import ContextChooser, Kind, dataset_for


class NoContext(TelegardeError):
    """The peer accepted no presentation context in which this instance can be sent."""


def kind_of(ref: InstanceRef) -> Kind:
    """Return what decides about the context of an instance."""
    return ref.sop_class_uid, ref.transfer_syntax_uid


def prepare(ref: InstanceRef, chooser: ContextChooser, reader: InstanceReader) -> Ready:
    """Read an instance, and transcode it if the peer needs that.

    Raises
    ------
    NoContext, TranscodingImpossible, foundation.errors.Unavailable
        The sub-operation has failed.
    """
    context = chooser.choose(kind_of(ref))
    if context is None:
        raise NoContext("the peer accepts no context for this SOP Class")
    file = reader.read_file(ref)
    dataset = dataset_for(file[ref.dataset_offset :], kind_of(ref), context)
    return Ready(ref.sop_class_uid, ref.sop_instance_uid, context, dataset)
