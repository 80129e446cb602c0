# The data plane: one agent and its workers. Which base to take, and how: docs/images.md.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm

FROM ${BASE_IMAGE} AS base
SHELL ["/bin/sh", "-eu", "-c"]
# A CUDA runtime base has no Python. The distribution's packages are as fixed as the base is.
# hadolint ignore=DL3008
RUN if ! command -v python3 >/dev/null; then \
        apt-get update -qq; \
        apt-get install -y -qq --no-install-recommends ca-certificates python3; \
        rm -rf /var/lib/apt/lists/*; \
    fi

FROM base AS tools
COPY images/install.sh images/tools.txt constraints.txt /build/
# hadolint ignore=DL3008
RUN --mount=type=bind,source=images/wheels,target=/wheels \
    if ! ls /wheels/uv-*.whl >/dev/null 2>&1 && ! python3 -m pip --version >/dev/null 2>&1; then \
        apt-get update -qq; \
        apt-get install -y -qq --no-install-recommends python3-pip; \
        rm -rf /var/lib/apt/lists/*; \
    fi; \
    sh /build/install.sh tools

FROM tools AS dependencies
ARG TORCH=""
COPY pyproject.toml /build/
RUN --mount=type=bind,source=images/wheels,target=/wheels sh /build/install.sh dependencies train "${TORCH}"

FROM tools AS project
COPY --from=dependencies /opt/fastgen/venv /opt/fastgen/venv
COPY pyproject.toml README.md LICENSE /build/source/
COPY fastgen_k8s /build/source/fastgen_k8s
RUN --mount=type=bind,source=images/wheels,target=/wheels sh /build/install.sh project

FROM base
# The base's own installers go, and its standard library is compiled: nothing can be compiled later on a read-only root.
RUN find / -xdev -type d \( -name pip -o -name 'pip-*' -o -name ensurepip \) -path '*python3*' -prune -exec rm -rf {} +; \
    rm -f /usr/local/bin/pip* /usr/bin/pip*; \
    python3 -m compileall -q -x 'badsyntax|bad_coding|packages/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"; \
    groupadd --gid 10001 fastgen; \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp/home --shell /usr/sbin/nologin fastgen
COPY --from=dependencies /opt/fastgen/venv /opt/fastgen/venv
COPY --from=project /opt/fastgen/project /opt/fastgen/project
COPY examples /opt/fastgen/examples
COPY LICENSE /opt/fastgen/
ENV PATH=/opt/fastgen/project/bin:/opt/fastgen/venv/bin:${PATH} \
    HOME=/tmp/home \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/fastgen
USER 10001:10001
# No entry point of the image's (NGC bases have one): docker and Kubernetes then run the same argv.
ENTRYPOINT []
CMD ["python", "-m", "fastgen_k8s.agent", "--help"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="fastgen-k8s trainer" \
      org.opencontainers.image.description="Agents and workers of fastgen_k8s stages" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
