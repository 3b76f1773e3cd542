"""Measures of generated pictures."""
