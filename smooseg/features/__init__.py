"""Views and a backbone's weights come in; a verified cache of patch features, and shuffled batches of it, go out."""
