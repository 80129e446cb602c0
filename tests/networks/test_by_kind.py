"""Every row of the tables of families, text encoders and codecs leads to a module, and to parts that a folder keeps."""

from importlib import import_module
from typing import get_args

import pytest

from fastgen_k8s.artifacts.teacher import PARTS
from fastgen_k8s.experiments.by_kind import ByKind
from fastgen_k8s.experiments.codecs import Codec, NoCodec
from fastgen_k8s.experiments.encoders import TextEncoder
from fastgen_k8s.experiments.families import Architecture, ClosedForm

Row = type[ByKind]


def rows(*tables: object) -> list[Row]:
    """Those of some tables; latents that are the data have no codec."""
    return [row for table in tables for row in get_args(get_args(table)[0]) if row is not NoCodec]


@pytest.mark.parametrize("row", rows(Architecture, ClosedForm))
def test_a_family_makes_student_teacher_and_fake_score(row: Row) -> None:
    family = import_module(f"fastgen_k8s.networks.{row.named()}").FAMILY
    assert all(callable(getattr(family, name)) for name in ("student", "teacher", "fake_score"))


@pytest.mark.parametrize("row", rows(TextEncoder, Codec))
def test_a_text_encoder_or_codec_can_be_read(row: Row) -> None:
    assert callable(import_module(f"fastgen_k8s.networks.{row.named()}").read)


@pytest.mark.parametrize("row", rows(Architecture, ClosedForm, TextEncoder, Codec))
def test_a_models_folder_keeps_what_is_read_of_it(row: Row) -> None:
    assert set(row.parts) <= set(PARTS)
