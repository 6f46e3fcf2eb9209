"""The documents made of a signed version: PDF, DICOM, CDA, FHIR, plain text. Pure: made twice, the same bytes."""
