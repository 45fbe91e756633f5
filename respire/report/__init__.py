"""Results to results.json, report.md, report.html and figures."""
