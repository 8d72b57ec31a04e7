"""The seven stages, in the order in which the default recipe runs them: dedup, entropy, toxicity, outliers, pii,
sampling, augmentation; and optional ones that a recipe can add: boilerplate, substrings."""
