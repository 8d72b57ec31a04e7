"""Lines and paragraphs that stand in many documents of a source."""
