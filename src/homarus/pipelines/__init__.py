"""Pipelines: stages as data, their versions, runs and where each run stands (contract, 11)."""
