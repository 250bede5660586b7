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


def direct_pass(checkpoint):
    """Tokens that enter each block and those that leave the last, class token included, and timm's model."""
    model = timm.create_model(TINY_MODEL, num_classes=0, img_size=64).eval()
    model.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(load_file(checkpoint), model))
    with torch.no_grad():
        entering = [model.norm_pre(model._pos_embed(model.patch_embed(normalised(PIXELS, model))))]
        for layer in model.blocks:
            entering.append(layer(entering[-1]))
    return entering, model


def given(checkpoint, *args, **kwargs):
    """What a backbone in float32 makes of some views."""
    return Backbone(TINY_MODEL, *args, "float32", **kwargs).load(checkpoint).prepare(64, CPU)(PIXELS).float()


def test_several_blocks_lie_side_by_side_in_the_networks_order(tiny_checkpoint):
    entering, _ = direct_pass(tiny_checkpoint)
    expected = torch.cat([entering[3][:, 1:], entering[6][:, 1:]], -1)
    torch.testing.assert_close(given(tiny_checkpoint, [-1, 2], False), expected, atol=4e-3, rtol=4e-3)


@pytest.mark.parametrize("prefix", [False, True])
def test_keys_are_those_of_the_attention_with_its_heads_side_by_side(tiny_checkpoint, prefix):
    entering, model = direct_pass(tiny_checkpoint)
    expected = []
    for number in (1, 4):
        block = model.blocks[number]
        with torch.no_grad():
            qkv = block.attn.qkv(block.norm1(entering[number]))
        heads = block.attn.num_heads
        keys = qkv.reshape(*qkv.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)[1]  # (views, heads, tokens, channels)
        expected.append(torch.cat([keys[:, head] for head in range(heads)], -1)[:, 0 if prefix else 1 :])
    found = given(tiny_checkpoint, [1, 4], False, features="keys", prefix=prefix)
    torch.testing.assert_close(found, torch.cat(expected, -1), atol=4e-3, rtol=4e-3)


@pytest.mark.parametrize("norm", [False, True])
def test_prefix_tokens_stay_before_the_patches(tiny_checkpoint, norm):
    entering, model = direct_pass(tiny_checkpoint)
    with torch.no_grad():
        expected = model.norm(entering[5]) if norm else entering[5]
    torch.testing.assert_close(given(tiny_checkpoint, 4, norm, prefix=True), expected, atol=4e-3, rtol=4e-3)


def test_registers_stay_with_the_class_token(monkeypatch):
    whole = timm.create_model(
        "vit_small_patch14_reg4_dinov2.lvd142m", num_classes=0, embed_dim=32, depth=2, num_heads=2
    )
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: whole)
    backbone = Backbone("vit_small_patch14_reg4_dinov2.lvd142m", 0, False, "float32", prefix=True).prepare(84, CPU)
    assert backbone(torch.zeros(1, 84, 84, 3, dtype=torch.uint8)).shape == (1, 5 + 36, 32)


def test_keys_of_attention_with_separate_projections(monkeypatch):
    whole = timm.create_model("vit_small_patch16_dinov3.lvd1689m", num_classes=0, embed_dim=32, depth=2, num_heads=2)
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: whole)
    keys = Backbone("vit_small_patch16_dinov3.lvd1689m", [0, 1], False, "float32", features="keys").prepare(96, CPU)
    assert keys(torch.zeros(1, 96, 96, 3, dtype=torch.uint8)).shape == (1, 36, 64)


def test_what_a_cache_holds_must_be_in_the_network(tmp_path, tiny_resnet, tiny_checkpoint):
    facts = fetch_weights("resnet50", file_source(tiny_resnet[1]), tmp_path / "out.safetensors")
    with pytest.raises(SmoosegError, match="resnet50: block 2 has no attention keys: set .* features to tokens"):
        Backbone("resnet50", 2, False, "float32", features="keys")
    with pytest.raises(SmoosegError, match="resnet50 has no class token: set the backbone's prefix to false"):
        Backbone("resnet50", 2, False, "float32", prefix=True)
    with pytest.raises(SmoosegError, match="resnet50 has no class token: set the backbone's prefix to false"):
        needs_of(tmp_path, "resnet50", -1, facts, prefix=True)
    with pytest.raises(SmoosegError, match=r"resnet50: blocks \[3, 4\] have patches of \[16, 32\] pixels; take blocks"):
        needs_of(tmp_path, "resnet50", [3, 4], facts)


def test_keys_have_no_norm_and_blocks_are_named_once():
    with pytest.raises(SmoosegError, match="test_vit has no final norm to apply to keys of block 3: set"):
        Backbone(TINY_MODEL, 3, True, "float32", features="keys")
    with pytest.raises(SmoosegError, match=r"test_vit: blocks \[5, -1\] name one of its 6 blocks twice"):
        Backbone(TINY_MODEL, [5, -1], False, "float32")


def test_channels_and_prefix_are_planned(tmp_path, tiny_checkpoint):
    facts = fetch_weights(TINY_MODEL, file_source(tiny_checkpoint), tmp_path / "out.safetensors")
    needs = needs_of(tmp_path, TINY_MODEL, [3, 4, 5], facts, prefix=True)
    assert (needs["channels"], needs["prefix"]) == (192, 1)
    assert needs_of(tmp_path, TINY_MODEL, 3, facts)["prefix"] == 0


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


def needs_of(folder, model, block, facts, prefix=False):
    """Provenance of features of 100-pixel views from a weights file's facts."""
    views = {"size": [100] * 3, "bits": [8] * 3, "left": [0, 50, 0], "right": [200, 250, 90]}
    pd.DataFrame(views).to_parquet(folder / "m.parquet")
    (folder / "facts.json").write_text(json.dumps(facts))
    return feature_needs(
        {"model": model, "block": block, "prefix": prefix}, folder / "m.parquet", folder / "facts.json"
    )


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
    with META, pytest.raises(SmoosegError, match=rf"{name} has no final norm to apply to tokens of block {block}: set"):
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
        write_block(store, 0, lambda: torch.zeros(2, 1, 8, dtype=torch.float16), None, pd.DataFrame())


def test_an_unknown_model_is_an_error():
    with pytest.raises(SmoosegError, match="vit_enormous is not a model timm knows"):
        Backbone("vit_enormous", 0, False, "float32")


def test_weights_must_fit(tiny_checkpoint):
    state = load_file(tiny_checkpoint)
    state["extra"] = state.pop("norm.weight")
    with pytest.raises(SmoosegError, match=r"checkpoint: .* \(missing: norm\.weight; unexpected: extra\)"):
        load_strictly(timm.create_model(TINY_MODEL, num_classes=0), state, "checkpoint")
