"""Queue, batches and transformer client of each environment."""
