"""Make one page of a run: what became of its rows, why, and what can be done."""

from destinations.report.file import check_report_path, write_report
from destinations.report.page import run_page
from destinations.report.words import Advice, adds_up, advice

__all__ = ["Advice", "adds_up", "advice", "check_report_path", "run_page", "write_report"]
