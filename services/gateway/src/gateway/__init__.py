"""API gateway of the spam detector: routes requests by environment, batches them, and limits load."""
