"""How large a score can be that a model learns."""

# Its square, and that of an error of its size, is finite in float32.
LARGEST_SCORE = 1e18
