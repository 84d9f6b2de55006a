"""`/api/v1`: the console for programs. Records of the contract as they are, without names."""
