"""How the feeds are doing."""
