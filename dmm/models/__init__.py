"""Networks. Importing the package registers every system."""

from dmm.models import dmmgan  # noqa: F401
from dmm.models.registry import create_model, list_models, register_model

__all__ = ["create_model", "list_models", "register_model"]
