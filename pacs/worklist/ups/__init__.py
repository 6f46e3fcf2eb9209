"""Unified Procedure Steps: work items that are created, found, claimed, followed and finished (PS3.4 CC, PS3.18 11)."""
