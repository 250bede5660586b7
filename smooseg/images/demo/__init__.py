"""Procedural outdoor scenes with exact labels, from a seed."""
