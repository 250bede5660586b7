"""What to run: config.yaml and its schema come in, a resolved, checked configuration goes out."""
