"""Synthetic studies, the peers to compare with, and the programs that measure; see README.md."""
