"""The stage `sampling`: how much of each language and source goes into the corpus."""
