"""TorchX's scheduler `local_docker` as it is, but for one line where no image is named."""
# pyright: basic

from torchx.schedulers.docker_scheduler import DockerJob, DockerScheduler, Opts
from torchx.specs import AppDef, AppDryRunInfo

from fastgen_k8s.launch.launch import check_given


class WithImage(DockerScheduler):
    """Containers on this machine."""

    def _submit_dryrun(self, app: AppDef, cfg: Opts) -> AppDryRunInfo[DockerJob, Opts]:
        for role in app.roles:
            check_given(role.image)
        return super()._submit_dryrun(app, cfg)


def create_scheduler(session_name: str, **_: object) -> WithImage:
    """What TorchX's entry point calls."""
    return WithImage(session_name)
