"""What each kind of personal data looks like, and the checks that a candidate must pass before it counts."""
