# The control plane, without torch: command line and controller. Bases and arguments: docs/images.md.
ARG BASE_IMAGE=docker.io/library/python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${BASE_IMAGE} AS base
SHELL ["/bin/sh", "-eu", "-c"]
RUN --mount=type=bind,source=images/install.sh,target=/install.sh sh /install.sh base

FROM base AS tools
COPY images/install.sh images/tools.txt images/torch.txt constraints.txt /build/
RUN --mount=type=bind,source=images/wheels,target=/wheels sh /build/install.sh tools

FROM tools AS dependencies
COPY pyproject.toml /build/
RUN --mount=type=bind,source=images/wheels,target=/wheels sh /build/install.sh dependencies controller

FROM tools AS project
COPY pyproject.toml README.md LICENSE /build/source/
COPY fastgen_k8s /build/source/fastgen_k8s
RUN --mount=type=bind,source=images/wheels,target=/wheels \
    --mount=type=bind,from=dependencies,source=/opt/fastgen/venv,target=/opt/fastgen/venv \
    sh /build/install.sh project

FROM base
RUN --mount=type=bind,source=images/install.sh,target=/install.sh sh /install.sh final
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
# No entry point, and none of the base's (NGC has one): docker and Kubernetes then run the same argv.
ENTRYPOINT []
CMD ["fastgen-k8s", "--help"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="fastgen-k8s controller" \
      org.opencontainers.image.description="Command line and controller of fastgen_k8s" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
