"""Fuzz targets: garbage only ever gives a remote protocol error."""
