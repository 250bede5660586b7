"""What several heads are made of."""
