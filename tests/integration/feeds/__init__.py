"""How the feeds are doing, with real servers."""
