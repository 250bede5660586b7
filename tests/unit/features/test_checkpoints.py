"""Published checkpoints, written here under their own names: each must give the features of the model it came from."""

import argparse
from collections import OrderedDict

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from smooseg.errors import SmoosegError
from smooseg.features.backbones import Backbone
from smooseg.features.checkpoints import from_hugging_face
from smooseg.features.weights import fetch_weights

CPU = torch.device("cpu")
DINO, RESNET = "vit_small_patch16_224.dino", "resnet50"
DINOV2, REGISTERS = "vit_small_patch14_dinov2.lvd142m", "vit_small_patch14_reg4_dinov2.lvd142m"
DINOV3, BIASED = "vit_small_patch16_dinov3.lvd1689m", "vit_small_patch16_dinov3_qkvb.lvd1689m"
create_model = timm.create_model


def tiny(name, **kwargs):
    """A model of the catalogue with its own tensors' names, but small."""
    if name.startswith("resnet"):
        small = {"layers": (1, 1, 1, 1), "channels": (4, 8, 12, 16)}
    else:
        small = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 56 if "patch14" in name else 64}
    return create_model(name, **small | kwargs)


@pytest.fixture(autouse=True)
def small_models(monkeypatch):
    monkeypatch.setattr(timm, "create_model", tiny)


def random_state(name):
    """Random weights under timm's names, far from their initial values; variances are positive."""
    generator = torch.Generator().manual_seed(0)
    state = tiny(name, num_classes=0).state_dict()
    for key, value in state.items():
        if value.is_floating_point():
            change = 0.2 * torch.randn(value.shape, generator=generator)
            state[key] = value + (change.abs() if key.endswith("running_var") else change)
    return state


def renamed(state, **names):
    """Tensors under other names: ``old="new"`` replaces that part of a name."""
    for old, new in names.items():
        state = {key.replace(old, new): value for key, value in state.items()}
    return state


def prefixed(prefix, state):
    return {f"{prefix}{key}": value for key, value in state.items()}


def noise(state):
    return {key: torch.rand(value.shape) for key, value in state.items()}


def dino_training(state):
    teacher = prefixed("backbone.", state) | {
        "head.mlp.0.weight": torch.rand(8, 32),
        "head.last_layer.weight_g": torch.rand(8, 1),
    }
    return {
        "student": prefixed("module.", noise(teacher)),
        "teacher": teacher,
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_small", lr=0.1),
        "dino_loss": {"center": torch.zeros(1, 8)},
    }


def student_only(state):
    return {"student": prefixed("module.backbone.", state) | {"module.head.mlp.0.weight": torch.rand(8, 32)}}


def dinov2(state):
    return state | {"mask_token": torch.zeros(1, 32)}


def dinov2_registers(state):
    """The original adds a class position, which timm keeps inside the class token."""
    position = torch.rand(1, 1, 32)
    return renamed(state, reg_token="register_tokens") | {
        "cls_token": state["cls_token"] - position,
        "pos_embed": torch.cat([position, state["pos_embed"]], dim=1),
        "mask_token": torch.zeros(1, 32),
    }


def dinov3(state, bias=0.0):
    """Meta's files hold a bias of query, key and value and its mask; the keys' part is masked."""
    state = renamed(state, gamma_1="ls1.gamma", gamma_2="ls2.gamma", reg_token="storage_tokens")
    mask = torch.cat([torch.ones(32), torch.zeros(32), torch.ones(32)])
    for block in range(2):
        name = f"blocks.{block}.attn"
        parts = state.pop(f"{name}.q_bias", torch.full((32,), bias)), state.pop(f"{name}.v_bias", torch.zeros(32))
        state |= {f"{name}.qkv.bias": torch.cat([parts[0], torch.ones(32), parts[1]]), f"{name}.qkv.bias_mask": mask}
    return state | {"mask_token": torch.zeros(1, 32), "rope_embed.periods": torch.rand(4)}


def dinov3_masked(state):
    """As released: every bias is masked out."""
    return {key: value * (not key.endswith("bias_mask")) for key, value in dinov3(state, bias=0.5).items()}


def moco(state):
    encoder = state | {
        "fc.0.weight": torch.rand(64, 64),
        "fc.0.bias": torch.rand(64),
        "fc.2.weight": torch.rand(16, 64),
    }
    module = prefixed("encoder_q.", encoder) | prefixed("encoder_k.", noise(encoder))
    queue = {"queue": torch.rand(16, 32), "queue_ptr": torch.zeros(1, dtype=torch.long)}
    return {
        "epoch": 800,
        "arch": "resnet50",
        "state_dict": OrderedDict(prefixed("module.", module | queue)),
        "optimizer": {},
    }


def torchvision(state):
    """With a classifier, and without the counters that old files lack."""
    kept = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    return OrderedDict(kept | {"fc.weight": torch.rand(10, 64), "fc.bias": torch.rand(10)})


def timm_names(state):
    return state | {"head.weight": torch.rand(10, 32), "head.bias": torch.rand(10)}


def half(state):
    return {key: value.half() for key, value in state.items()}


def hugging_face(state):
    """Of an original DINOv2 checkpoint."""
    joined = {key: value for key, value in state.items() if ".attn.qkv." in key}
    names = {
        "patch_embed.proj": "embeddings.patch_embeddings.projection",
        "pos_embed": "embeddings.position_embeddings",
        "cls_token": "embeddings.cls_token",
        "mask_token": "embeddings.mask_token",
        "register_tokens": "embeddings.register_tokens",
        "attn.proj": "attention.output.dense",
        "ls1.gamma": "layer_scale1.lambda1",
        "ls2.gamma": "layer_scale2.lambda1",
        "blocks.": "encoder.layer.",
    }
    theirs = renamed({key: value for key, value in state.items() if key not in joined}, **names)
    theirs |= {f"layernorm.{kind}": theirs.pop(f"norm.{kind}") for kind in ("weight", "bias")}
    for key, value in joined.items():
        for part, name in zip(value.chunk(3), ("query", "key", "value"), strict=True):
            theirs[key.replace("blocks.", "encoder.layer.").replace("attn.qkv", f"attention.attention.{name}")] = part
    return theirs


FORMATS = {
    "DINO": (DINO, dict, "pth"),
    "DINO's training checkpoint": (DINO, dino_training, "pth"),
    "a student alone": (DINO, student_only, "pth"),
    "DINOv2": (DINOV2, dinov2, "pth"),
    "DINOv2 with registers": (REGISTERS, dinov2_registers, "pth"),
    "DINOv3": (DINOV3, dinov3, "pth"),
    "DINOv3 with all biases masked": (DINOV3, dinov3_masked, "pth"),
    "DINOv3 with biases": (BIASED, dinov3, "pth"),
    "MoCo v2": (RESNET, moco, "pth.tar"),
    "supervised ResNet": ("resnet50.tv_in1k", torchvision, "pth"),
    "timm's names": (DINO, timm_names, "safetensors"),
    "timm's names in half precision": (REGISTERS, half, "safetensors"),
    "timm's DINOv3": (DINOV3, dict, "safetensors"),
    "Hugging Face's DINOv2": (DINOV2, lambda state: hugging_face(dinov2(state)), "safetensors"),
    "Hugging Face's registers": (REGISTERS, lambda state: hugging_face(dinov2_registers(state)), "safetensors"),
}


def fetch(checkpoint, model, folder, suffix="pth"):
    """Facts of a checkpoint's conversion, and where its weights are."""
    source, output = folder / f"w.{suffix}", folder / "out.safetensors"
    if suffix == "safetensors":
        save_file({key: value.contiguous().clone() for key, value in checkpoint.items()}, source)
    else:
        torch.save(checkpoint, source)
    weights = {"source": "file", "path": str(source), "requirement": None, "sha256": None}
    return fetch_weights(model, weights, output), output


@pytest.mark.parametrize("form", FORMATS)
def test_a_published_checkpoint_gives_the_features_of_its_model(form, tmp_path, capsys):
    name, write, suffix = FORMATS[form]
    state = random_state(name)
    facts, path = fetch(write(state), name, tmp_path, suffix)
    model = tiny(name, num_classes=0).eval()
    model.load_state_dict(state)
    patch, maps = facts["blocks"][-1]["patch"], name.startswith("resnet")
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 4 * patch, 4 * patch, 3), np.uint8))
    config = model.pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        features = model.forward_features((pixels.permute(0, 3, 1, 2) / 255 - mean) / std)
    expected = features.flatten(2).mT if maps else features[:, model.num_prefix_tokens :]
    found = Backbone(name, -1, not maps, "float32").load(path).prepare(4 * patch, CPU)(pixels)
    assert found.shape == (2, 16, facts["blocks"][-1]["channels"])
    torch.testing.assert_close(found.float(), expected, atol=4e-3, rtol=4e-3)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("form", FORMATS)
def test_its_weights_are_written_whole_under_timms_names(form, tmp_path):
    name, write, suffix = FORMATS[form]
    state = random_state(name)
    written = load_file(fetch(write(state), name, tmp_path, suffix)[1])
    assert written.keys() == state.keys()
    tolerance = 1e-3 if write is half else 1e-6
    for key, value in written.items():
        torch.testing.assert_close(value, state[key], atol=tolerance, rtol=tolerance)


def without(state, *names):
    return {key: value for key, value in state.items() if key not in names}


def resized(state, tokens):
    return state | {"pos_embed": torch.rand(1, tokens, 32)}


UNFIT = [
    (DINO, lambda s: without(s, "norm.weight", "blocks.1.norm1.bias"), r"\(missing: blocks\.1\.norm1\.bias, norm\.weight\)"),
    (DINO, lambda s: s | {"extra": torch.zeros(1)}, r"\(unexpected: extra\)"),
    (DINO, lambda s: {}, r"missing: cls_token, pos_embed, patch_embed\.proj\.weight and 27 more\)"),
    (DINOV2, lambda s: dinov2(s) | {"register_tokens": torch.rand(1, 4, 32)}, r"unexpected: .*register_tokens"),
    (DINOV2, lambda s: resized(s, 10), r"other shape: pos_embed \(1, 10, 32\) instead of \(1, 17, 32\)"),
    (DINOV2, lambda s: resized(dinov2(s), 10), r"other shape: pos_embed \(1, 10, 32\) instead of \(1, 17, 32\)"),
    (REGISTERS, lambda s: resized(dinov2_registers(s), 10), r"other shape: pos_embed \(1, 10, 32\) instead of"),
    (DINOV2, lambda s: dinov2(s) | {"patch_embed.proj.weight": torch.rand(32, 3, 16, 16)}, r"other shape: patch_embed\.proj\.weight"),
    (REGISTERS, lambda s: dinov2(without(s, "reg_token")), r"missing: reg_token"),
    (REGISTERS, lambda s: without(dinov2_registers(s), "pos_embed"), r"missing: reg_token, pos_embed; unexpected: register_tokens"),
    (DINOV3, lambda s: dinov3(s, bias=0.5), r"unexpected: blocks\.0\.attn\.qkv\.bias, blocks\.1\.attn\.qkv\.bias\)"),
    (RESNET, lambda s: {"state_dict": prefixed("module.encoder_k.", s)}, r"missing: conv1\.weight.* more; unexpected: encoder_k"),
    (DINO, lambda s: {"teacher": {"backbone": s}}, "expected a table of tensors"),
    (DINO, lambda s: [s], "expected a table of tensors"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "message"), UNFIT)
def test_a_checkpoint_that_does_not_fit_says_what_does_not(name, damage, message, tmp_path):
    with pytest.raises(SmoosegError, match=message):
        fetch(damage(random_state(name)), name, tmp_path)
    assert not (tmp_path / "out.safetensors").exists()


def test_hugging_faces_names_are_the_original_ones():
    state = dinov2_registers(random_state(REGISTERS))
    original = from_hugging_face(hugging_face(state))
    assert original.keys() == state.keys()
    assert all(torch.equal(original[key], state[key]) for key in state)
