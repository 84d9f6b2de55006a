"""Hostile traffic for the HL7 v2 socket, and an accounting of its own of what became of it.

`mutate` makes messages, `sessions` puts them on connections, `reference` says what must become of
each byte, `drive` sends and reads the answers, `ledger` compares with what is in the log.
"""
