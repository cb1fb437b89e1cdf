"""Pictures with captions, fit to publish."""

from rail_watch.report.reports import write_reports
from rail_watch.report.timelapse import write_timelapses

__all__ = ["write_reports", "write_timelapses"]
