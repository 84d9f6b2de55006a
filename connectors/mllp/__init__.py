"""HL7 v2 over MLLP: frames, acknowledgements, the server that feeds the log, and a client."""
