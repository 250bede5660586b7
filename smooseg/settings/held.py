"""Which keys of a backbone's entry say what its caches hold; apart, since code that counts in reruns imports it."""

HELD = ("model", "block", "features", "norm", "prefix")
