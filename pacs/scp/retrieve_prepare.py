"""Makes a stored instance ready to be sent to one peer: read, checked, in a transfer syntax that the peer accepts.

Shared by C-MOVE and C-GET.

References
----------
PS3.4 C.4.2.2.1; PS3.5 10.1
"""

from typing import Final

from foundation.errors import TelegardeError
from pacs.archive.retrieval import InstanceReader
from pacs.contracts import InstanceRef
from pacs.scu.pipeline import Ready
from pacs.scu.store import ContextChooser, Kind, dataset_for

WHOLE_BYTES_MAX: Final = 32 * 1024 * 1024
"""A larger data set is sent in parts: a few of 500 MB at once would take a worker's memory."""


class NoContext(TelegardeError):
    """The peer accepted no presentation context in which this instance can be sent."""


def kind_of(ref: InstanceRef) -> Kind:
    """Return what decides about the context of an instance."""
    return ref.sop_class_uid, ref.transfer_syntax_uid


def prepare(ref: InstanceRef, chooser: ContextChooser, reader: InstanceReader, *, may_be_parts: bool) -> Ready:
    """Read an instance, and transcode it if the peer needs that.

    Parameters
    ----------
    may_be_parts : bool
        Whether a large data set may be given in parts, that are read as they are sent.

    Raises
    ------
    NoContext, TranscodingImpossible, foundation.errors.Unavailable
        The sub-operation has failed.
    """
    context = chooser.choose(kind_of(ref))
    if context is None:
        raise NoContext("the peer accepts no context for this SOP Class")
    size_bytes = ref.length_bytes - ref.dataset_offset
    if may_be_parts and size_bytes > WHOLE_BYTES_MAX and not context.is_transcoding:
        return Ready(ref.sop_class_uid, ref.sop_instance_uid, context, reader.read_parts(ref), size_bytes)
    file = reader.read_file(ref)
    dataset = dataset_for(file[ref.dataset_offset :], kind_of(ref), context)
    return Ready(ref.sop_class_uid, ref.sop_instance_uid, context, dataset, len(dataset))
