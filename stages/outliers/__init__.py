"""IsolationForest per language on cheap embeddings."""
