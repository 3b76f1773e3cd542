"""Captions, pictures and the sets they come from."""
