"""What the chart renders, held to what the system needs of it."""
