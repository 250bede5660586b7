"""Figures: one module for each kind. Class colours are chosen for colour-blind readers (:mod:`.palette`)."""
