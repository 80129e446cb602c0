# pyright: basic
"""Reading a tokenizer or an encoder of transformers from a teacher's folder, strictly and with one-line errors."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from fastgen_k8s import log
from fastgen_k8s.artifacts.teacher import check_small, read_json
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.folder import UNBUILT, finite, first_line

_VOCABULARIES = {".json", ".txt", ".model", ".jinja"}  # the files that tokenizers are made of
_SENTENCE_PIECES, _THEIR_PACKAGES = ("spiece.model", "sentencepiece.bpe.model"), ("sentencepiece", "google.protobuf")
_COUNTS, _MADE_TOKENS = {"extra_ids", "offset", "num_madeup_words"}, 1 << 16  # of tokens that a class makes, often 100
Encoder = TypeVar("Encoder", bound=PreTrainedModel)


def read_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder, which must know how to pad; BadInput says what is amiss."""
    for name, made in read_json(path / "tokenizer_config.json").items():
        if name in _COUNTS and isinstance(made, int | float) and made > _MADE_TOKENS:
            raise BadInput(f"{path}: wanted at most {_MADE_TOKENS} tokens in {name}, found {made}")
    for file in path.iterdir():
        if file.suffix in _VOCABULARIES:
            check_small(file)
    _check_packages(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except (OSError, ImportError, *UNBUILT) as error:
        raise BadInput(f"{path}: wanted a tokenizer, found {first_line(error)}") from error
    except Exception as error:
        if type(error) is not Exception:  # tokenizers has no class of its own for what it cannot read
            raise
        raise BadInput(f"{path}: wanted a tokenizer, found {first_line(error)}") from error
    files = list(tokenizer.vocab_files_names.values())  # without any of them transformers makes an empty one
    if not any((path / name).is_file() for name in files):
        raise BadInput(f"{path}: wanted a tokenizer's {' or '.join(files)}, found none")
    if tokenizer.pad_token is None:
        raise BadInput(f"{path}: wanted a tokenizer with a token for padding, found none")
    return tokenizer


def _check_packages(path: Path) -> None:
    """Refuse a vocabulary that needs packages which are not here; transformers would ask for another one of them."""
    vocabulary = next((name for name in _SENTENCE_PIECES if (path / name).is_file()), None)
    if vocabulary is None or (path / "tokenizer.json").is_file():
        return
    missing = [name.removeprefix("google.") for name in _THEIR_PACKAGES if not _is_installed(name)]
    if missing:
        raise BadInput(
            f"{path}: wanted tokenizer.json, or sentencepiece and protobuf installed to read {vocabulary}, "
            f"found neither (no {', no '.join(missing)})"
        )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of the package that it lies in
        return False


def read_encoder(wanted: type[Encoder], model_type: str, path: Path) -> Encoder:
    """The frozen encoder in a folder, in the dtype that it is stored in, whole and finite, on this process's device."""
    config = read_json(path / "config.json")
    if config.get("model_type") != model_type:
        raise BadInput(f"{path / 'config.json'}: wanted a {model_type} encoder, found {config.get('model_type')}")
    logging.disable_progress_bar()  # it would draw into logs, whether or not they are a terminal
    logging.set_verbosity_error()  # its tables of keys are said below in one line
    try:
        loaded: Any = wanted.from_pretrained(
            path,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype="auto",
            ignore_mismatched_sizes=True,  # told below, by name
            output_loading_info=True,
        )
    except (OSError, ImportError, *UNBUILT, SafetensorError, StrictDataclassError) as error:
        raise BadInput(f"{path}: wanted a whole {model_type} encoder, found {first_line(error)}") from error
    encoder, info = loaded
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:4])
        raise BadInput(f"{path}: wanted a whole {model_type} encoder, found no {missing}")
    if info["mismatched_keys"]:
        found = f"another shape of {min(map(str, info['mismatched_keys']))}"
        raise BadInput(f"{path}: wanted weights of the shapes that config.json gives, found {found}")
    if info["unexpected_keys"]:
        log.warning("weights left over", folder=str(path), found=sorted(info["unexpected_keys"])[:4])
    odd = next((name for name, value in encoder.named_parameters() if not finite(value)), None)
    if odd is not None:
        raise BadInput(f"{path}: wanted finite weights, found a non-finite value in {odd}")
    nn.Module.to(encoder, local_device())
    return encoder.requires_grad_(False).eval()


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, known: int, path: Path) -> None:
    """Refuse a tokenizer with tokens that the encoder beside it does not know."""
    if len(tokenizer) > known:
        raise BadInput(f"{path}: wanted at most the encoder's {known} tokens, found one of {len(tokenizer)}")
