"""Scores, histories and times come in; tables, figures and the report go out."""
