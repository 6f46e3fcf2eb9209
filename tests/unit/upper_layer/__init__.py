"""Tests of the upper layer: no socket, no clock, bytes only."""
