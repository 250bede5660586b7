"""Cached features, a head and labels come in; label maps, with and without the CRF, and their scores go out."""
