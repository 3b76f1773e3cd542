"""The training loop, its three steps, the EMA and the logs."""
