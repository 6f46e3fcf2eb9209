"""Ways by which a version reaches a recipient: the page, mail, DICOM, HL7; each with what its success means."""
