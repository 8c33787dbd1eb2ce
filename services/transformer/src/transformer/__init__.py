"""KServe transformer: takes mail, sends features to the predictor, returns spam probabilities."""
