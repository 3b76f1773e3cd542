"""The training loop, its three steps, averaging and logs."""
