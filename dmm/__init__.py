"""The reference implementation of DMM-GAN and its family, and its trainer."""
