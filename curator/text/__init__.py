"""Text as stages see it: repair and normalisation, segmentation into units, folding, hashing."""
