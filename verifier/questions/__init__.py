"""Questions that take more than one verdict: how large outputs get, and how far a property holds."""
