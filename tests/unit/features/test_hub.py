"""Weights from a hub: the real client against a server of the loopback that speaks the hub's protocol."""

import json
import os
import subprocess
import sys
import time

import huggingface_hub
import pytest
import torch
from safetensors.torch import load, load_file, save

from smooseg.errors import SmoosegError
from smooseg.features.hub import REMEDY
from smooseg.features.weights import fetch_weights
from tests.conftest import ROOT
from tests.support.hub import OTHER_TOKEN, TOKEN, asked_hub

SOURCE = {"source": "hub", "path": None, "requirement": None, "member": None, "sha256": None}
DINO, DINOV2, DINOV3 = (
    "vit_small_patch8_224.dino",
    "vit_small_patch14_dinov2.lvd142m",
    "vit_small_patch16_dinov3.lvd1689m",
)
RESNET, FILE = "resnet50.tv_in1k", "model.safetensors"
CHUNK = 1 << 15  # bytes that the client keeps at a time; of its own 10 MB it would keep none of a tiny file
# what fetch_weights says in a process of its own, whose client reads its environment; argv: source, folder, models
CLIENT = """
import json, sys, pytest
from pathlib import Path
from tests.support.published import shrink
from smooseg.errors import SmoosegError
from smooseg.features.weights import fetch_weights
for name in sys.argv[3:]:
    shrink(pytest.MonkeyPatch(), name)
    try:
        print(json.dumps(fetch_weights(name, json.loads(sys.argv[1]), Path(sys.argv[2], f"{name}.safetensors"))))
    except SmoosegError as error:
        print(json.dumps(str(error)))
"""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with asked_hub(monkeypatch, tmp_path, [DINO, DINOV2, DINOV3, RESNET]) as hub:
        yield hub


def fetch(tmp_path, name=DINO, **changes):
    return fetch_weights(name, SOURCE | changes, tmp_path / "w.safetensors")


def problem(tmp_path, name=DINO, **changes) -> str:
    """What fetching says; nothing is left behind."""
    with pytest.raises(SmoosegError) as caught:
        fetch(tmp_path, name, **changes)
    assert list(tmp_path.glob("w.safetensors*")) == []
    return str(caught.value)


@pytest.mark.parametrize("name", [DINO, DINOV2, DINOV3])
def test_published_weights_are_found_and_taken_whole(hub, tmp_path, name):
    facts = fetch(tmp_path, name)
    assert (facts["model"], facts["source"]) == (name, SOURCE)
    published, fetched = load(hub.files[f"timm/{name}/{FILE}"]), load_file(tmp_path / "w.safetensors")
    assert fetched.keys() == published.keys()
    assert all(torch.equal(fetched[key], value) for key, value in published.items())


def test_a_classifier_is_left_out(hub, tmp_path):
    fetch(tmp_path, RESNET)
    published = load(hub.files[f"timm/{RESNET}/{FILE}"])
    assert published.keys() - load_file(tmp_path / "w.safetensors").keys() == {"fc.weight", "fc.bias"}


def test_a_broken_connection_is_resumed(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)
    hub.breaks = [3 * CHUNK + 1]
    fetch(tmp_path)
    first, second = hub.asked("GET", "/store/")
    assert (first.range, second.range) == (None, f"bytes={3 * CHUNK}-")
    assert load_file(tmp_path / "w.safetensors").keys() == load(hub.files[f"timm/{DINO}/{FILE}"]).keys()


def test_a_file_that_ends_too_early_is_refused_and_fetched_again_later(hub, tmp_path):
    hub.sent[f"timm/{DINO}/{FILE}"] = hub.files[f"timm/{DINO}/{FILE}"][:1000]
    size = len(hub.files[f"timm/{DINO}/{FILE}"])
    assert f"{DINO} could not be fetched (Consistency check failed: file should be of size {size}" in problem(tmp_path)
    hub.sent.clear()
    fetch(tmp_path)


def test_a_file_of_another_sha256_is_refused(hub, tmp_path):
    content = hub.files[f"timm/{DINO}/{FILE}"]
    hub.sent[f"timm/{DINO}/{FILE}"] = content[:-4] + b"\0\0\0\1"
    said = problem(tmp_path)
    (blob,) = (tmp_path / "cache" / f"models--timm--{DINO}" / "blobs").iterdir()
    assert said.startswith(f"{blob}: sha256 is ")
    assert said.endswith(f", and the hub says {blob.name}; delete the file and run again")
    hub.sent.clear()
    assert problem(tmp_path) == said  # the client does not fetch it again
    blob.unlink()
    fetch(tmp_path)


def test_weights_that_are_pinned_and_others_are_refused(hub, tmp_path):
    assert f"{DINO} from the hub: sha256 is " in problem(tmp_path, sha256="0" * 64)
    pinned = fetch(tmp_path)["sha256"]
    assert fetch(tmp_path, sha256=pinned)["sha256"] == pinned


@pytest.mark.parametrize("name", [RESNET, DINO])
def test_a_file_that_lacks_tensors_is_refused(hub, tmp_path, name):
    """timm itself leaves them random where it builds a network without the published classifier."""
    state = load(hub.files[f"timm/{name}/{FILE}"])
    lost = next(key for key in state if key.endswith("1.weight"))
    hub.files[f"timm/{name}/{FILE}"] = save({key: value for key, value in state.items() if key != lost})
    said = problem(tmp_path, name)
    assert said.startswith(f"{name} could not be fetched (") and lost in said


def test_what_was_fetched_before_needs_neither_hub_nor_token(hub, tmp_path, monkeypatch):
    before = fetch(tmp_path)
    for change in ({"status": 503}, {"gated": {f"timm/{DINO}"}}, {"foreign": True}):
        for key, value in change.items():
            monkeypatch.setattr(hub, key, value)
        assert fetch(tmp_path) == before
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    assert fetch(tmp_path) == before
    assert len(hub.requests) == asked


LICENCE = f"accept its licence at https://huggingface.co/timm/{DINOV3} and set HF_TOKEN to a token of the account that accepted it"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, f"timm/{DINOV3} is gated, and no token is set (status 401); {LICENCE}"),
        (
            OTHER_TOKEN,
            f"timm/{DINOV3} is gated, and the account of the token in use has no access (status 403); {LICENCE}",
        ),
        (
            "hf_mistyped",
            "HUB does not give timm/" + DINOV3 + " (status 401); the token in use may be wrong: check HF_TOKEN",
        ),
    ],
)
def test_a_gated_model_says_what_to_accept(hub, tmp_path, monkeypatch, token, said):
    hub.gated.add(f"timm/{DINOV3}")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    assert problem(tmp_path, DINOV3) == f"{DINOV3} could not be fetched: {said.replace('HUB', hub.url)}"


def test_a_repository_that_is_not_there_is_named(hub, tmp_path):
    del hub.files[f"timm/{DINO}/{FILE}"]
    assert problem(tmp_path) == (
        f"{DINO} could not be fetched: {hub.url} does not give timm/{DINO} (status 401); if it is private, set HF_TOKEN"
    )


def test_a_token_reaches_the_hub_and_never_its_store(hub, tmp_path, monkeypatch):
    hub.gated.add(f"timm/{DINOV3}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch(tmp_path, DINOV3)
    assert {request.authorization for request in hub.asked("HEAD", "/resolve/")} == {f"Bearer {TOKEN}"}
    assert [request.authorization for request in hub.asked("GET", "/store/")] == [None]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_hub_that_does_not_work_is_said_soon(hub, tmp_path, status):
    hub.status, began = status, time.monotonic()
    said = problem(tmp_path)
    assert said == f"{DINO} could not be fetched: {hub.url} cannot be reached (status {status}); {REMEDY}"
    assert time.monotonic() - began < 5


def test_a_hub_whose_files_do_not_work_is_said_soon(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("smooseg.features.hub.hub_problem", lambda: "")  # its first page does
    hub.status, began = 503, time.monotonic()
    assert problem(tmp_path).endswith(f"{hub.url} cannot be reached (status 503); {REMEDY}")
    assert time.monotonic() - began < 5


def test_a_server_that_is_no_hub_is_told_from_one(hub, tmp_path):
    hub.foreign = True
    assert problem(tmp_path) == (
        f"{DINO} could not be fetched: {hub.url} does not answer as a hub does; check HF_ENDPOINT"
    )


def client(tmp_path, *names, **variables) -> list:
    """What fetching says in a process of its own, with a folder of the hub's client that is nobody else's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    result = subprocess.run(
        [sys.executable, "-c", CLIENT, json.dumps(SOURCE), str(tmp_path), *names],
        env=kept | {"HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr
    return list(map(json.loads, result.stdout.splitlines()))


def test_the_client_takes_address_token_and_offline_mode_from_the_environment(hub, tmp_path):
    hub.gated.add(f"timm/{DINOV3}")
    (fetched,) = client(tmp_path, DINOV3, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    assert fetched["model"] == DINOV3
    asked = len(hub.requests)
    again, other = client(tmp_path, DINOV3, DINO, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN, HF_HUB_OFFLINE="1")
    assert again == fetched
    assert other == (
        f"{DINO} could not be fetched: HF_HUB_OFFLINE is set, and its weights were not fetched before; unset it, or {REMEDY}"
    )
    assert len(hub.requests) == asked
