"""A renderer of labelled image series, written apart from the project's own simulator.

The detector's author has not looked at it while tuning on seeds 0-99, and it shares no code with
`rail_watch`: what is scored on its pictures has been scored on pictures made by somebody else.

`python -m tests.other_renderer --gsd 0.5 --seed 3 --out DIR` writes an area of interest
(`aoi.geojson`), a static STAC catalogue (`catalog.json`, items and GeoTIFFs) and `truth.json`.
"""
