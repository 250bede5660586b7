"""Features of one block, against a direct forward; every model of the catalogue; weights that must fit."""

import json

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from smooseg.errors import SmoosegError
from smooseg.features.backbones import Backbone, load_strictly
from smooseg.features.extraction import write_block
from smooseg.features.provenance import feature_needs, round_to_patch
from smooseg.features.weights import fetch_weights
from tests.conftest import TINY_MODEL, file_source, make_store

CPU = torch.device("cpu")
META = torch.device("meta")
PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))
TINY_RESNET = {"layers": (1, 1, 1, 1), "channels": (4, 8, 12, 16)}


def normalised(pixels, model):
    """Images as the model was trained on."""
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    return (pixels.permute(0, 3, 1, 2) / 255 - mean) / std


def direct_features(checkpoint, block, norm):
    """Block by block through timm's own modules."""
    model = timm.create_model(TINY_MODEL, num_classes=0, img_size=64).eval()
    model.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(load_file(checkpoint), model))
    with torch.no_grad():
        tokens = model._pos_embed(model.patch_embed(normalised(PIXELS, model)))
        tokens = model.norm_pre(tokens)
        for layer in model.blocks[: block + 1]:
            tokens = layer(tokens)
        return (model.norm(tokens) if norm else tokens)[:, model.num_prefix_tokens :]


@pytest.mark.parametrize(("block", "norm"), [(2, False), (5, True)])
def test_features_are_those_of_the_block(tiny_checkpoint, block, norm):
    features = Backbone(TINY_MODEL, block, norm, "float32").load(tiny_checkpoint).prepare(64, CPU)(PIXELS)
    assert (features.shape, features.dtype) == ((3, 16, 64), torch.float16)
    torch.testing.assert_close(features.float(), direct_features(tiny_checkpoint, block, norm), atol=4e-3, rtol=4e-3)


def test_a_negative_block_counts_from_the_last(tiny_checkpoint):
    first, second = (Backbone(TINY_MODEL, b, True, "float32").load(tiny_checkpoint).prepare(64, CPU) for b in (-1, 5))
    torch.testing.assert_close(first(PIXELS), second(PIXELS))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_stays_close(tiny_checkpoint, precision):
    features = Backbone(TINY_MODEL, 5, True, precision).load(tiny_checkpoint).prepare(64, CPU)(PIXELS).float()
    reference = direct_features(tiny_checkpoint, 5, True)
    assert torch.cosine_similarity(features, reference, dim=-1).min() > 0.99


@pytest.mark.parametrize("size", [48, 80, 160])
def test_at_another_size_the_position_grid_is_interpolated(tiny_checkpoint, size):
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, size, size, 3), np.uint8))
    model = timm.create_model(TINY_MODEL, num_classes=0, dynamic_img_size=True).eval()  # interpolates in every forward
    model.load_state_dict(load_file(tiny_checkpoint))
    with torch.no_grad():
        expected = model.forward_features(normalised(pixels, model))[:, model.num_prefix_tokens :]
    features = Backbone(TINY_MODEL, -1, True, "float32").load(tiny_checkpoint).prepare(size, CPU)(pixels)
    assert features.shape == (2, (size // 16) ** 2, 64)
    torch.testing.assert_close(features.float(), expected, atol=4e-3, rtol=4e-3)


CATALOGUE = {
    "vit_small_patch8_224.dino": (8, 384),
    "vit_small_patch16_224.dino": (16, 384),
    "vit_base_patch8_224.dino": (8, 768),
    "vit_base_patch16_224.dino": (16, 768),
    "vit_small_patch14_dinov2.lvd142m": (14, 384),
    "vit_base_patch14_dinov2.lvd142m": (14, 768),
    "vit_large_patch14_dinov2.lvd142m": (14, 1024),
    "vit_small_patch14_reg4_dinov2.lvd142m": (14, 384),
    "vit_base_patch14_reg4_dinov2.lvd142m": (14, 768),
    "vit_large_patch14_reg4_dinov2.lvd142m": (14, 1024),
    "vit_small_patch16_dinov3.lvd1689m": (16, 384),
    "vit_base_patch16_dinov3.lvd1689m": (16, 768),
    "resnet50.tv_in1k": (32, 2048),
    "resnet50": (32, 2048),
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_model_of_the_catalogue_gives_a_grid_of_patches(name):
    patch, channels = CATALOGUE[name]
    with META:  # shapes without memory
        backbone = Backbone(name, -1, not name.startswith("resnet"), "float32")
        assert backbone.model.pretrained_cfg["mean"] == (0.485, 0.456, 0.406)
        last = backbone.model.feature_info[-1]
        assert (last["reduction"], last["num_chs"]) == (patch, channels)
        for size in (round_to_patch(224, patch), round_to_patch(320, patch)):
            features = backbone.prepare(size, META)(torch.zeros(2, size, size, 3, dtype=torch.uint8))
            assert (features.shape, features.dtype) == ((2, (size // patch) ** 2, channels), torch.float16)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("vit_small_patch16_224.dino", 1),
        ("vit_small_patch14_reg4_dinov2.lvd142m", 5),
        ("vit_small_patch16_dinov3.lvd1689m", 5),
    ],
)
@pytest.mark.parametrize("block", [0, 1])
def test_class_and_register_tokens_are_dropped(monkeypatch, name, prefix, block):
    small = {"embed_dim": 32, "depth": 2, "num_heads": 2}
    whole = timm.create_model(name, num_classes=0, **small).eval()
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: whole)
    size = 6 * whole.patch_embed.patch_size[0]
    pixels = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (2, size, size, 3), np.uint8))
    outputs = []
    whole.blocks[block].register_forward_hook(lambda module, inputs, output: outputs.append(output))
    features = Backbone(name, block, False, "float32").prepare(size, CPU)(pixels)
    assert outputs[0].shape == (2, 36 + prefix, 32)
    torch.testing.assert_close(features, outputs[0][:, prefix:].half())


@pytest.fixture
def tiny_resnet(monkeypatch, tmp_path):
    """A small ResNet-50 under the catalogue's name, and its checkpoint."""
    create_model = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **kwargs: create_model(name, **TINY_RESNET, **kwargs))
    torch.manual_seed(0)
    model = timm.create_model("resnet50", num_classes=0).eval()
    save_file(model.state_dict(), tmp_path / "resnet.safetensors")
    return model, tmp_path / "resnet.safetensors"


@pytest.mark.parametrize(("block", "stride", "channels"), [(0, 2, 64), (1, 4, 16), (3, 16, 48), (-1, 32, 64)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resnets_map_is_a_grid_of_patches(tiny_resnet, block, stride, channels, precision):
    model, checkpoint = tiny_resnet
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8))
    layers = [model.conv1, model.bn1, model.act1, model.maxpool, model.layer1, model.layer2, model.layer3, model.layer4]
    with torch.no_grad():
        maps = normalised(pixels, model)
        for layer in layers[: {0: 3, 1: 5, 3: 7, -1: 8}[block]]:
            maps = layer(maps)
    features = Backbone("resnet50", block, False, precision).load(checkpoint).prepare(96, CPU)(pixels)
    assert (features.shape, features.dtype) == ((2, (96 // stride) ** 2, channels), torch.float16)
    for row, column in [(0, 0), (1, 2), (2, 1)]:
        expected, found = maps[:, :, row, column], features[:, row * (96 // stride) + column].float()
        torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05 if precision == "bfloat16" else 4e-3)


def needs_of(folder, model, block, facts):
    """Provenance of features of 100-pixel views from a weights file's facts."""
    views = {"size": [100] * 3, "bits": [8] * 3, "left": [0, 50, 0], "right": [200, 250, 90]}
    pd.DataFrame(views).to_parquet(folder / "m.parquet")
    (folder / "facts.json").write_text(json.dumps(facts))
    return feature_needs({"model": model, "block": block}, folder / "m.parquet", folder / "facts.json")


@pytest.mark.parametrize(
    ("block", "shape"), [(-1, (32, 64, 128)), (4, (32, 64, 128)), (1, (4, 16, 100)), (-5, (2, 64, 100))]
)
def test_patch_and_channels_are_those_of_the_block(tiny_resnet, tmp_path, block, shape):
    facts = fetch_weights("resnet50", file_source(tiny_resnet[1]), tmp_path / "out.safetensors")
    needs = needs_of(tmp_path, "resnet50", block, facts)
    assert (needs["patch"], needs["channels"], needs["size"]) == shape
    assert needs["scale"] == 0.5


@pytest.mark.parametrize("block", [6, -7])
def test_a_block_that_is_not_there_is_an_error(tmp_path, tiny_checkpoint, block):
    with pytest.raises(SmoosegError, match=f"test_vit: block {block} is outside its 6 blocks"):
        Backbone(TINY_MODEL, block, False, "float32")
    facts = fetch_weights(TINY_MODEL, file_source(tiny_checkpoint), tmp_path / "out.safetensors")
    with pytest.raises(SmoosegError, match=f"test_vit: block {block} is outside its 6 blocks"):
        needs_of(tmp_path, TINY_MODEL, block, facts)


@pytest.mark.parametrize(
    ("name", "block"), [("resnet50", -1), ("swin_tiny_patch4_window7_224", 2), ("beit_base_patch16_224", -1)]
)
def test_a_norm_that_cannot_be_applied_is_an_error(name, block):
    with META, pytest.raises(SmoosegError, match=rf"{name} has no final norm to apply to block {block}: set"):
        Backbone(name, block, True, "float32")


def test_a_model_without_intermediate_features_is_refused(monkeypatch):
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: torch.nn.Identity())
    with pytest.raises(SmoosegError, match="mystery_net does not give the features of its blocks"):
        Backbone("mystery_net", -1, False, "float32")


def test_features_of_another_shape_than_planned_are_refused(tmp_path):
    store = make_store(tmp_path / "s.zarr", np.zeros((2, 4, 8), np.float16), model="odd_net")
    with pytest.raises(
        SmoosegError, match="odd_net: 4 patches of 8 channels were planned .* 1 patches of 8 channels came"
    ):
        write_block(store, 0, np.zeros((2, 1, 8), np.float16), pd.DataFrame())


def test_an_unknown_model_is_an_error():
    with pytest.raises(SmoosegError, match="vit_enormous is not a model timm knows"):
        Backbone("vit_enormous", 0, False, "float32")


def test_weights_must_fit(tiny_checkpoint):
    state = load_file(tiny_checkpoint)
    state["extra"] = state.pop("norm.weight")
    with pytest.raises(SmoosegError, match=r"checkpoint: .* \(missing: norm\.weight; unexpected: extra\)"):
        load_strictly(timm.create_model(TINY_MODEL, num_classes=0), state, "checkpoint")
