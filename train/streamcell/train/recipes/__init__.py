"""What can be asked for in a recipe: one file a task."""
