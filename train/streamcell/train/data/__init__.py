"""What a training hears: corpora, augmentation, endless streams."""
