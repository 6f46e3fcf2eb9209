"""The DICOM upper layer (PS3.8) and DIMSE command sets (PS3.7) without I/O: bytes in, events out, and back.

For: both sides of an association, over any transport. Not for: sockets, threads, clocks, files (an import contract sees
to it), data sets, or what a service does.

Where to look: `connection` is the facade that drivers use; `events` what it tells them; `fsm` the state tables;
`pdata` the hot path; `negotiation` the answer to a request; `dimse` command sets; `associate` and `associate_codec` the
items of A-ASSOCIATE; `limits` every bound; `errors` whose fault it is and what to answer.
"""
