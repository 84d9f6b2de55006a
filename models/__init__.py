"""Numbers → evidence: patient record, features, encoders, fusion, calibration, bundles. torch only here."""
