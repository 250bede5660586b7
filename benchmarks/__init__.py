"""Timed comparisons, each against its alternative in the same run; never part of the tests."""
