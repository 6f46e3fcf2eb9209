"""Hostile and broken peers on a real socket: the right A-ABORT or status, bounded memory, no effect on others."""
