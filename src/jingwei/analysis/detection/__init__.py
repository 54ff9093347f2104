"""Falsified, faulty, bypassed: contradictions in monitor data, with evidence an officer can use."""

from jingwei.analysis.detection.finding import Evidence, Finding, Findings, Reason, Share, Words
from jingwei.analysis.detection.monitor import Monitor
from jingwei.analysis.detection.suite import Suite

__all__ = ["Evidence", "Finding", "Findings", "Monitor", "Reason", "Share", "Suite", "Words"]
