"""Genomics results: VCF files as laboratories send them. Reports in HL7 v2 are `connectors.hl7`."""
