"""The DICOM node and the archive: upper layer, services, journal, index."""
