"""Numbers → evidence: patient record, features, networks, fusion, bundles. torch only here."""
