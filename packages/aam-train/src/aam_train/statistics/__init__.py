"""Uncertainty of metrics: bootstrap over groups, intervals, and verdicts in words."""
