"""What another converter makes of 139 messages, against what Tocsin makes of them."""
