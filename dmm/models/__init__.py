"""Networks. Systems register themselves when one is first asked for."""

from dmm.models.registry import create_model, list_models, register_model

__all__ = ["create_model", "list_models", "register_model"]
