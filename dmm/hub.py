"""Pipelines on the Hugging Face Hub, and their model cards.

``find``, ``upload`` and the methods of :class:`dmm.pipeline.Pipeline` that call them behave as ``huggingface_hub.PyTorchModelHubMixin``
does. They are written out here because the mixin keeps a second copy of the config beside the weights, falls back to pickled ones, and has
to be imported with the class, which takes longer than loading a checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path

from dmm.checkpoint import FILE, CheckpointError, assets, further_files, locate
from dmm.models.registry import find_model


def find(name: str | os.PathLike, **download) -> str | os.PathLike:
    """A name that can be loaded here, else the first file of "user/name", fetched from the Hub with those that belong beside it.

    Args:
        name: a name or folder of this machine, or "user/name".
        download: as of ``hf_hub_download``.

    Raises:
        CheckpointError: neither here nor to be had from the Hub.
    """
    try:
        locate(name)
        return name
    except CheckpointError:
        if Path(name).exists() or str(name).count("/") != 1 or str(name).startswith((".", "/", "~")):
            raise
    from huggingface_hub import hf_hub_download  # only who downloads pays for the import
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        path = hf_hub_download(str(name), FILE, **download)
        for further in further_files(Path(path)):
            hf_hub_download(str(name), further, **download)
        return path
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(f"{name}: no folder, and not to be had from the Hub ({' '.join(str(error).split())[:200]})") from error


def upload(
    pipe,
    repo_id: str,
    *,
    commit_message: str = "Upload a pipeline",
    private: bool | None = None,
    token: str | None = None,
    branch: str | None = None,
    create_pr: bool | None = None,
) -> str:
    """Upload a pipeline's weights and model card to a repository of the user, made if need be; returns the commit's address.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`.
        repo_id: "user/name".
        token: of the user; by default the one that ``hf auth login`` stored.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    with tempfile.TemporaryDirectory() as folder:
        pipe.save_pretrained(Path(folder) / repo_id.rpartition("/")[2])
        return api.upload_folder(
            repo_id=repo_id,
            folder_path=Path(folder) / repo_id.rpartition("/")[2],
            commit_message=commit_message,
            revision=branch,
            create_pr=create_pr,
        )


def model_card(pipe, name: str = "") -> str:
    """What is known of a pipeline, as Markdown: system, sizes, measured figures (assets/results/<name>.json), training."""
    entry, config = find_model(pipe.config.system), pipe.config
    millions = {part: sum(p.numel() for p in net.parameters()) / 1e6 for part, net in pipe.named_children()}
    title = name or pipe.name or config.system
    results = assets() / "results" / f"{pipe.name or title}.json"
    lines = [
        "---",
        "library_name: dmm-gan-explorer",
        "pipeline_tag: text-to-image",
        f"tags: [{config.system}, text-to-image, gan]",
        "---",
    ]
    lines += [f"# {title}", "", f"{config.system} ({entry.paper}): adds, {entry.adds}.", ""]
    lines += [f"- {part}: {count:.1f} million parameters" for part, count in millions.items()]
    lines += [f"- vocabulary: {len(pipe.vocab)} ids, convention {pipe.vocab.convention}", ""]
    lines += [
        "```python",
        "from dmm import Pipeline",
        f'Pipeline.from_pretrained("{title}")("a small red bird", seed=3)',
        "```",
    ]
    lines += ["", "## Measured", "", *(_measured(json.loads(results.read_text())) if results.is_file() else ["Nothing yet."])]
    lines += ["", "## Training", "", "```json", json.dumps(pipe.card, indent=1), "```", "", "## Config", "", "```json"]
    return "\n".join([*lines, json.dumps(dataclasses.asdict(config), indent=1), "```", ""])


def _measured(results: dict) -> list[str]:
    """The table of a file of ``dmm evaluate``: each metric's first figure, with ceiling and floor."""
    lines = [f"`{results['command']}`: {results['n']} captions. {results['split']}; {results['noise']}.", ""]
    columns = ("generated", "ceiling_rendered", "floor_shuffled")
    lines += ["| metric | generated | rendered (ceiling) | shuffled (floor) |", "|---|---|---|---|"]
    for metric, found in results["metrics"].items():
        rows = {metric: found} if "generated" in found else {}
        rows |= {f"{metric}, {size} px": row for size, row in found.get("by_size", {}).items()}
        lines += [f"| {label} | {' | '.join(_figure(row.get(column)) for column in columns)} |" for label, row in rows.items()]
    return lines


def _figure(value) -> str:
    value = next(iter(value.values())) if isinstance(value, dict) else value
    return "" if value is None else f"{value:.3f}"
