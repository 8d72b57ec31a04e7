"""Stage `quality`: rules of Gopher, FineWeb and C4, each where its script and language allow it."""
