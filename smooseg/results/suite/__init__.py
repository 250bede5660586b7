"""The suite: tables of every head on every data set, ranks and what tells them apart, and its part of the report."""
