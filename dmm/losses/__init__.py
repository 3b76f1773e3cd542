"""Loss terms: one small callable each."""
