"""Pictures with captions, fit to publish."""

from rail_watch.report.reports import write_reports

__all__ = ["write_reports"]
