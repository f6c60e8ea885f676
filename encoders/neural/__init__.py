"""Graph networks on PyTorch: stacked members, bodies, self-supervised pre-training. Importing this room is instant."""
