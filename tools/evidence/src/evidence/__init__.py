"""Evidence for a promotion: whether a candidate model may take production's place."""
