"""Where files lie: local paths and object storage behind one vocabulary, and the node-local copies that tasks map."""
