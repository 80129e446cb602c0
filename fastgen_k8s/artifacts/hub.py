# pyright: basic
"""A repository of the Hugging Face hub as a `model` artifact, so that pods need no hub."""

import os
import tempfile
from pathlib import Path

from fastgen_k8s.artifacts.cache import cache_folder
from fastgen_k8s.artifacts.manifest import Manifest
from fastgen_k8s.artifacts.models import add_model
from fastgen_k8s.artifacts.teacher import PARTS
from fastgen_k8s.errors import BadInput, FastgenError, Misdescribed, StoreFailed, failed_io

_PATTERNS = ["model_index.json", *(f"{part}/*" for part in PARTS)]
_UNAUTHORISED = (401, 403)


def pull_model(repo: str, uri: str, revision: str | None = None) -> Manifest:
    """Download the parts that we read, at one commit, and commit them to `uri`; facts say which commit it was."""
    try:
        from huggingface_hub import HfApi, close_session
        from huggingface_hub.errors import HFValidationError
    except ModuleNotFoundError as error:
        raise Misdescribed(f"models pull wants the extra `train` of fastgen-k8s, found no {error.name}") from error
    from httpx2 import HTTPError

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))  # the variable is otherwise read at import only
    where = f"{api.endpoint}/{repo}" + (f"@{revision}" if revision else "")
    place = cache_folder() / "hub"
    try:
        place.mkdir(parents=True, exist_ok=True)
        commit = str(api.model_info(repo, revision=revision).sha)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            api.snapshot_download(repo, revision=commit, local_dir=folder, allow_patterns=_PATTERNS)
            try:
                return add_model(Path(folder), uri, {"repo": repo, "revision": commit})
            except BadInput as error:
                raise BadInput(f"{where}: {error}") from error
    except HFValidationError as error:
        raise Misdescribed(f"{repo!r}: wanted the name of a repository, OWNER/NAME, found: {_line(error)}") from error
    except (HTTPError, ConnectionError, FileNotFoundError) as error:
        raise explained(error, where) from error
    except OSError as error:
        raise failed_io(error, place) from error
    finally:
        close_session()  # its connections are the process's, and would be left open


def explained(error: Exception, where: str) -> FastgenError:
    """One line and the exit code of what the hub, or the way there, refused."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    match error:
        case GatedRepoError():
            return Misdescribed(f"{where}: wanted access, found a gated repository (accept its terms, set HF_TOKEN)")
        case RevisionNotFoundError():
            return BadInput(f"{where}: wanted the revision, the repository has none of that name")
        case RepositoryNotFoundError():
            return BadInput(f"{where}: wanted a repository, found none (or a private one: set HF_TOKEN)")
        case _ if status in _UNAUTHORISED:
            return Misdescribed(f"{where}: wanted access, found HTTP {status} (set HF_TOKEN)")
        case _ if 400 <= status < 500 and status not in (408, 429):
            return BadInput(f"{where}: wanted the repository's files, found HTTP {status}")
    return StoreFailed(f"{where}: wanted a hub that answers, found: {_line(error)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
