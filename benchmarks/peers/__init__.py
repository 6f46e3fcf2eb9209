"""Real peers on the loopback interface: DCMTK, Orthanc, pynetdicom, PostgreSQL and our own node.

Used by the benchmarks and, through `tests.harness.peers`, by the tests. Each peer is a process that
was started here, is ended by its own process id, and shows what it printed when something fails.
"""
