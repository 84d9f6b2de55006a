"""Alerts out: the formats that others read, and the senders that speak to them."""
