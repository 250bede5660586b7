"""Data sets and files come in; crop boxes, the pixels of views and class maps go out."""
