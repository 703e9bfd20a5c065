"""Models behind HTTP: a page to try them on, and an API that clients exist for."""

from ..errors import MissingExtraError

try:
    import fastapi  # noqa: F401
    import prometheus_client  # noqa: F401
    import python_multipart  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise MissingExtraError(f'serving needs {error.name}: pip install "colonnade[serve]"') from None

from .application import app
from .settings import Settings

__all__ = ["Settings", "app"]
