"""Everything on this machine: Apache Kafka, Redis and Tocsin's processes, without root.

`up` starts them, `supervisor` keeps the processes alive, `kafka` and `redis` know one server each.
"""
