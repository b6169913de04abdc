"""Verdicts and progress as text and JSON."""
