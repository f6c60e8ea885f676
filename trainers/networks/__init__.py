"""Torch networks built from the architectures of a search space."""
