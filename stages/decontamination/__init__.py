"""Stage `decontamination`: text of evaluation sets is found, and dropped, cut out or flagged."""
