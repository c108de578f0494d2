ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG REVISION=""
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY exporter exporter
COPY scripts scripts
RUN python -m venv /opt/exporter \
    && REVISION="$REVISION" /opt/exporter/bin/pip install --no-cache-dir --disable-pip-version-check '.[log-rules]'

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/exporter /opt/exporter
ENV PATH=/opt/exporter/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# nobody: reading queues and sysctls takes no rights at all
USER 65534:65534
EXPOSE 10049
ENTRYPOINT ["openvpn-mq-exporter"]
