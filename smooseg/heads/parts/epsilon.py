"""What keeps norms from being zero; apart, since it counts in the reruns of all that imports it."""

EPSILON = 1e-12  # keeps an all-zero row finite, as torch.nn.functional.normalize does
