"""The network for cargo on aprons: training rows, learning, measuring (docs/training.md)."""
