"""The seven stages, in the order in which the default recipe runs them: dedup, entropy, toxicity, outliers, pii,
sampling, augmentation."""
