"""Whether a model stays right for hours: the same recordings again and again in one stream, and after what disturbs."""
