"""Definitions of destinations: one folder of YAML each, no code."""
