"""A proven model file -> a smaller or faster one, kept only where that was measured."""
