"""KServe transformer: mail in, features to the predictor, spam probability out."""
