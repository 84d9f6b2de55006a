"""HL7 v2: what a message says (`interpret`), and writing messages (`build`)."""
