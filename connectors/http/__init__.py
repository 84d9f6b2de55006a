"""The HTTP intake: FHIR resources, notices of imaging archives, VCF and BED files."""
