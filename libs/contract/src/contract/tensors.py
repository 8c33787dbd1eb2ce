"""Inputs, outputs and parameters of requests and answers; n is the number of mails, k that of named numbers."""

EMAIL_CONTENT = "email_content"
"""Input of the transformer, BYTES [n]: each mail."""
REQUEST_ID = "request_id"
"""Input of the transformer, BYTES [n]: the id of each mail's request, for the inference log."""
SPAM_PROBABILITY = "spam_probability"
"""Output of the transformer, FP64 [n]."""
PREDICTION = "prediction"
"""Output of the transformer, BYTES [n]: one of `PREDICTIONS`."""
PREDICTIONS = ("spam", "ham")

PREDICT_PROBA = "predict_proba"
"""Output of the predictor, FP64 [n, 2]: the probability of each class; the last one is spam."""

EXPLAIN = "explain"
"""Parameter of a request, a boolean: whether to send what a verdict was made from, too."""
FEATURES = "features"
"""Output of the transformer for `EXPLAIN`, FP64 [n, k]: the named numbers of each mail."""
FEATURE_NAMES = "feature_names"
"""Output of the transformer for `EXPLAIN`, BYTES [k]."""
FEATURE_DESCRIPTIONS = "feature_descriptions"
"""Output of the transformer for `EXPLAIN`, BYTES [k]."""
FEATURE_QUANTILES = "feature_quantiles"
"""Output for `EXPLAIN`, FP64 [k, `GROUPS`, `QUANTILES`]: each number in the mail that the model was trained on."""
GROUPS = ("all", "ham", "spam")
QUANTILES = ("p05", "p25", "p50", "p75", "p95")

THRESHOLD = "threshold"
"""Parameter of an answer: spam probability from which a mail is spam.

The predictor sends its model's. The transformer sends the one that it applied, which an environment may override.
"""
MODEL_SHA256 = "model_sha256"
"""Parameter of an answer: SHA-256 of the model's bundle."""
FEATURE_SCHEMA_VERSION = "feature_schema_version"
"""Parameter of the predictor's answer: the feature schema that the model was trained on."""

POSITION = "position"
PRODUCTION_VERSION = "production_version"
PRODUCTION_SHA256 = "production_sha256"
PRODUCTION_PROBABILITY = "production_probability"
PRODUCTION_PREDICTION = "production_prediction"
PRODUCTION_SECONDS = "production_seconds"
SHADOW_INPUTS = {
    POSITION: "INT32",
    PRODUCTION_VERSION: "BYTES",
    PRODUCTION_SHA256: "BYTES",
    PRODUCTION_PROBABILITY: "FP64",
    PRODUCTION_PREDICTION: "BYTES",
    PRODUCTION_SECONDS: "FP64",
}
"""Inputs of a shadowed request, each [n], with their types: what production answered.

A request has all of them or none.
"""
PRODUCTION_BATCH_MAILS = "production_batch_mails"
"""Input of a shadowed request, INT32 [n], which an older gateway does not send: mails of production's batch."""
