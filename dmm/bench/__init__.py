"""How fast the systems are on this machine, beside a plain path with the same results."""
