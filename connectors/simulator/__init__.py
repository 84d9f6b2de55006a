"""A simulated hospital: physiology fitted to a real cohort, HL7 v2 as an interface sends it."""
