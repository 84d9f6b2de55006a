"""FHIR R4: imaging studies and genomics reports, alone, with contained resources or in a Bundle."""
