"""The whole serving path on one machine: both environments and the gateway as processes."""
