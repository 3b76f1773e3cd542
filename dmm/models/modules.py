"""What those who use networks of any system rely on: lists that know what they hold, and what a discriminator offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, overload

from torch import Tensor, nn

if TYPE_CHECKING:
    from typing_extensions import Self

Network = TypeVar("Network", bound=nn.Module)


class Modules(nn.ModuleList, Generic[Network]):
    """A ``ModuleList`` of one kind of modules."""

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[Network]: ...

        @overload
        def __getitem__(self, idx: slice) -> Self: ...

        @overload
        def __getitem__(self, idx: int) -> Network: ...

        def __getitem__(self, idx: int | slice) -> Network | Self: ...


class AnyDiscriminator(nn.Module):
    """A discriminator of any system: a trunk that reads a picture, and a head that joins its features with the text."""

    size: int  # side of the picture, px
    trunk: nn.Module

    def features(self, image: Tensor) -> Tensor:
        """B 3 S S in [-1, 1] -> B C 4 4."""
        raise NotImplementedError

    def conditional(self, features: Tensor, sentence: Tensor) -> Tensor:
        """Features B C 4 4, sentence B D -> logits B."""
        raise NotImplementedError
