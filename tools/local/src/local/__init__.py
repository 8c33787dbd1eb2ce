"""Local system: both environments and the gateway as processes on one machine."""
