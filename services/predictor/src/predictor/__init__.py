"""KServe predictor: serves the spam model of a verified bundle over the Open Inference Protocol."""
