"""Text-to-image generators, their discriminators and encoders."""
