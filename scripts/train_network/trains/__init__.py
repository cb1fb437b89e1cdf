"""The network along the track: its training rows, its learning, and the law of what it says of empty track."""
