"""What the environment of the process sets."""

from typing import Annotated

from pydantic import Field, HttpUrl
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """Each field is an environment variable of the same name in capitals."""

    model_name: str = "spam-detector"
    environment: str
    """Name of the environment that this transformer serves, as it stands in the inference log."""
    predictor_url: HttpUrl
    """Base URL of the predictor, such as `http://spam-detector-predictor.kserve`."""
    http_port: int = 8080
    predictor_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    spam_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Only for a predictor that does not name its model's threshold, as KServe's and MLServer's own do not."""
