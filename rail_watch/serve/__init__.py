"""The page over the archive: what `rail-watch serve` shows in a browser. Only this room knows Starlette."""
