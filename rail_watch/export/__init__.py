"""The answer of a run in the formats of other programs: tables, GIS layers, a STAC catalogue."""
