"""The same numbers in a cheaper order: Winograd's convolution, and batch norms fused into the layers before them."""
