"""The FID community's Inception-v3, read from its file (``pt_inception-2015-12-05-6726825d.pth``): the weights of TensorFlow's 2015 graph.

The names are torchvision's. Nothing of the file is run, and every key has to be known and of the right shape; the counters of batch norms,
which the file need not hold, are 0.
"""

from __future__ import annotations

from pathlib import Path

import torch

from dmm.convert.encoders import inception_names
from dmm.convert.files import read_state
from dmm.convert.keys import ConvertError, KeyTable, load_upstream
from dmm.models.inception import WIDTH, FIDInception

FILE = "pt_inception-2015-12-05-6726825d.pth"
HEADS = ("regions", "code")  # of the matching encoder, which this network does not have


def fid_names() -> dict[str, str]:
    """Published module -> ours, for everything that holds numbers."""
    return {theirs: ours for theirs, ours in inception_names().items() if ours not in HEADS} | {"fc": "classifier"}


def load_fid_inception(path: str | Path, width: int = WIDTH, classes: int = 1008) -> FIDInception:
    """The network with a file's weights, in eval mode.

    Args:
        path: the file.
        width, classes: as of :class:`dmm.models.inception.FIDInception`; the published file has the defaults.

    Raises:
        ConvertError: no such file, a damaged one, more than tensors in it, or missing and unknown keys and other shapes, all named.
    """
    network, state = FIDInception(width, classes), read_state(path, "image_encoder")
    units = {key.rpartition(".")[0] for key in state if key.endswith(".running_var")}
    counters = {f"{unit}.num_batches_tracked": torch.tensor(0) for unit in units}
    try:
        return load_upstream(network, counters | state, KeyTable(fid_names())).eval()
    except ConvertError as error:
        said = str(error)
        raise ConvertError(f"{path}: expected {FILE}: {said[:400]}{' ...' if len(said) > 400 else ''}") from error
