"""Neural predictors on PyTorch, which is imported when one is fitted."""
