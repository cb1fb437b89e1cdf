"""``python -m rail_watch``."""

from rail_watch.cli.main import main

main()
