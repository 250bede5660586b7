"""Masks as the files that annotation tools and training code open: one module for each format."""
