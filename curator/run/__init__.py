"""The run: its directory, plan, phases, fingerprint, events, manifest."""
