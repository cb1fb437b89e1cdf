"""Watch rail yards, bridges and ports from space: change detection that says how sure it is."""

__version__ = "0.1.0"
