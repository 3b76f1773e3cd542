"""The visual explorer: what the memory wrote, where it was read, what it answered."""
