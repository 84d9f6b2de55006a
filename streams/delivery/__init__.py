"""Telling people of alerts: who is told (`routing`), and that they are (`process`)."""
