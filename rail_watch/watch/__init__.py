"""The watch: what is looked at every night, and how one night goes."""
