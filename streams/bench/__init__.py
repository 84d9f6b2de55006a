"""Measures the whole line on this machine: real Kafka, real Redis, every process, its own traffic.

Load generator, broker, store and Tocsin share the machine's cores, so the figures are what such a
machine does with everything on it. Ratios from one run mean more than absolute figures.
"""
