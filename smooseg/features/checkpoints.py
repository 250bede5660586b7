"""Published checkpoints under timm's names.

Training checkpoints are unwrapped, Hugging Face's DINOv2 is renamed here, and the rest is left to the filters that
timm keeps for the original files of DINOv2 and DINOv3.
"""

import inspect
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import SmoosegError

StateDict = dict[str, torch.Tensor]

TABLES = ("teacher", "student", "state_dict", "model")  # of a training checkpoint, the preferred one first
PREFIXES = ("module.", "encoder_q.", "backbone.")  # of DistributedDataParallel, MoCo's trained encoder, DINO

# Hugging Face's DINOv2 name -> the original one
HUGGING_FACE = {
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.": "",
    "encoder.layer.": "blocks.",
    "attention.output.dense": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "layernorm.": "norm.",
}


def to_timm(checkpoint: dict, model: nn.Module, source: str | Path) -> StateDict:
    """A checkpoint's tensors under the names that a timm model has for them.

    What is no part of the backbone is left out: classifier, projection heads, MoCo's key encoder and queue, mask
    token. Values stay as they are, nothing is resampled; whether they fit is for a strict load to say.

    Args:
        checkpoint: What the file holds.
        model: The timm model that it is for.
        source: What to call the checkpoint in an error.

    Raises:
        SmoosegError: If it holds anything but tensors where the weights should be.
    """
    state = without_classifier(unwrap(checkpoint, source), model)
    if "embeddings.patch_embeddings.projection.weight" in state:
        state = from_hugging_face(state)
    return state if state.keys() == model.state_dict().keys() else filter_state(state, model)


def unwrap(checkpoint: dict, source: str | Path) -> StateDict:
    """The tensors of the backbone inside a training checkpoint, without their wrappers' prefixes."""
    while isinstance(checkpoint, dict) and (inner := [t for t in TABLES if isinstance(checkpoint.get(t), dict)]):
        checkpoint = checkpoint[inner[0]]
    if not isinstance(checkpoint, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in checkpoint.items()
    ):
        raise SmoosegError(f"{source}: expected a table of tensors, alone or as one of {', '.join(TABLES)}")
    for prefix in PREFIXES:
        below = {name.removeprefix(prefix): t for name, t in checkpoint.items() if name.startswith(prefix)}
        checkpoint = below or checkpoint
    return checkpoint


def without_classifier(state: StateDict, model: Any) -> StateDict:
    """All but the tensors of the classifier, which a backbone is built without."""
    names = model.pretrained_cfg.get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    return {name: tensor for name, tensor in state.items() if not name.startswith(prefixes)}


def from_hugging_face(state: StateDict) -> StateDict:
    """Give Hugging Face's DINOv2 tensors their original names, and join query, key and value."""
    renamed: StateDict = {}
    for name, tensor in state.items():
        for old, new in HUGGING_FACE.items():
            name = name.replace(old, new)
        renamed[name] = tensor
    for name in [name for name in renamed if ".attention.attention.query." in name]:
        names = [name.replace("query", part) for part in ("query", "key", "value")]
        if renamed.keys() >= set(names):  # else a strict load says what is missing
            renamed[name.replace("attention.attention.query", "attn.qkv")] = torch.cat([renamed.pop(n) for n in names])
    return renamed


def filter_state(state: StateDict, model: nn.Module) -> StateDict:
    """A checkpoint through the filter that timm has for the model's family.

    The filters also fit sizes to the model, and drop biases that the model has no place for. Such tensors are put
    back, so that a strict load refuses them.
    """
    convert = getattr(inspect.getmodule(type(model)), "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        with redirect_stdout(None):  # one of them prints
            converted = convert(dict(state), model)  # a copy: they also take tensors out
    except Exception:  # they count on tensors of their own family; a strict load names those that do not fit
        return state
    return converted | {name: state[name] for name in state if is_damaged(name, state, converted)}


def is_damaged(name: str, state: StateDict, converted: StateDict) -> bool:
    """Whether a tensor of the checkpoint was resampled, or dropped although it matters."""
    tensor = state[name]
    if name == "pos_embed" and "register_tokens" in state:  # the class position went into the class token
        tensor = tensor[:, 1:]
    if name in converted:
        return tensor.numel() != converted[name].numel()
    if not name.endswith("attn.qkv.bias") or name.replace("qkv.bias", "q_bias") in converted:
        return False
    query, _, value = (tensor * state.get(f"{name}_mask", 1)).chunk(3)  # the softmax cancels a bias of the keys
    return bool(query.any() or value.any())
