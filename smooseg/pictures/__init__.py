"""People's own pictures: from image files to masks, with a fitted head."""
