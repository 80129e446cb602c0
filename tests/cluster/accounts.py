# pyright: basic
"""The API server asked in somebody else's name: by impersonation, or with a token of a service account."""

import json
from pathlib import Path
from typing import cast

from kubernetes import client

from tests.cluster.api import Api


def as_user(api: Api, name: str) -> Api:
    """The same connection in the name of a person; the authoriser judges that name."""
    settings = cast("client.Configuration", api.client.configuration)
    return Api(api.kubeconfig, client.ApiClient(settings, "Impersonate-User", name), api.kinds)


def token(api: Api, namespace: str, account: str) -> str:
    """A token of a service account, for whoever may ask for one."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    return api.call("POST", path, asked)["status"]["token"]


def with_token(kubeconfig: Path, said: str, target: Path) -> Path:
    """A kubeconfig with a token in the place of the administrator's certificate."""
    config = json.loads(kubeconfig.read_text())
    config["users"][0]["user"] = {"token": said}
    target.write_text(json.dumps(config))
    return target
