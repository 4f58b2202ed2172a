"""Scoring predictions against truth; nothing here runs a model."""
