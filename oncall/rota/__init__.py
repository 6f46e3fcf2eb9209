"""Rosters: what was planned, who is on duty, whether it is legal and fair."""
