"""Learn the networks that rail-watch comes with, from series drawn by seed: see docs/training.md.

`seeds`, `draw` and `series` serve any network; what belongs to one network stands in a folder of its own: `trains`.
`python -m scripts.train_network STEP --work FOLDER` runs one step after the other: draw, sections, learn, measure.
"""
