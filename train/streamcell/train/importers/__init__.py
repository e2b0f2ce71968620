"""Corpora that people have, in their own layouts -> what `streamcell train` reads: one file a corpus."""
