"""Watches over a policy that is in force: its alert rate, and what each ward can bear."""
