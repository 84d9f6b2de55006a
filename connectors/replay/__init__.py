"""Public cohorts as live HL7 v2 traffic: `tocsin replay` and `tocsin evaluate --via stream`."""
