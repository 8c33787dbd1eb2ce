"""API keys: authentication, environments and rates of callers."""
