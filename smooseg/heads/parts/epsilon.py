"""A small number that keeps norms from being zero. It has its own file: nothing else reruns what uses it."""

EPSILON = 1e-12  # keeps an all-zero row finite, as torch.nn.functional.normalize does
