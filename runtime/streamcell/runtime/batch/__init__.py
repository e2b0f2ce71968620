"""Thousands of recordings into a folder of results: many at once, resumable, each result whole or not there."""
