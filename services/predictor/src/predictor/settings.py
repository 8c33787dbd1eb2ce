"""Settings of the predictor, read from environment variables."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints
from pydantic_settings import BaseSettings

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class PredictorSettings(BaseSettings):
    """Settings of the predictor; each field is an environment variable of the same name in capitals."""

    model_name: str = "spam-detector"
    """Name of the model in the URLs of the Open Inference Protocol."""
    model_dir: Path = Path("/mnt/models")
    """Folder of the bundle; by default where KServe's storage initializer puts it."""
    model_sha256: Sha256 | None = None
    """SHA-256 of the bundle's `model.json`, as pinned by the release file; `model.json` has the other files' hashes."""
    http_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on; 0.0.0.0 in a pod."""
    http_port: int = 8080
    """TCP port to listen at."""
    max_body_bytes: Annotated[int, Field(gt=0)] = 33_554_432
    """Bytes of the largest request: a gateway's largest batch, with every character escaped in JSON."""
    max_rows: int = 4096
    """Rows of one request."""
