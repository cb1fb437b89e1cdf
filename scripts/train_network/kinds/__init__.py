"""The regression that tells the kinds of railcars: training rows, learning, how well it does (docs/training.md)."""
