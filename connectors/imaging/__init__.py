"""Imaging: what modalities and archives announce, and what measurement objects say.

Announcements in HL7 v2 are `connectors.hl7.studies`.
"""
