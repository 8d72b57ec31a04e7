"""Calibration: thresholds fitted to known-good text, so that a stated share of it passes."""

from curator.calibrate.calibrate import Grouping, Outcome, Settings, calibrate, measure

__all__ = ["Grouping", "Outcome", "Settings", "calibrate", "measure"]
