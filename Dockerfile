# The worker's image. Packages come by pinned hashes into a virtual environment; what builds it stays
# behind. Another base image: --build-arg PYTHON_IMAGE=... (any with python3 3.11 or later and its venv).
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
# One environment to build in, one to ship: the second has neither pip nor setuptools.
COPY requirements-build.txt requirements.txt ./
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --quiet --require-hashes -r requirements-build.txt \
 && python3 -m venv --without-pip /opt/worker \
 && /opt/build/bin/pip --python /opt/worker/bin/python install --quiet --no-compile --require-hashes -r requirements.txt
COPY setup.py setup.cfg README.md LICENSE ./
COPY reservation_worker reservation_worker
COPY k8s/image/slim.py ./
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/build/bin/pip --python /opt/worker/bin/python install --quiet --no-compile --no-deps dist/*.whl \
 && /opt/worker/bin/python -P slim.py

FROM ${PYTHON_IMAGE}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="reservation-worker" \
      org.opencontainers.image.description="Settles ticket reservations from an SQS queue: no event lost, no seat sold twice" \
      org.opencontainers.image.source="https://github.com/traffic-tacos/reservation-worker" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/worker /opt/worker
# MALLOC_ARENA_MAX: with glibc's default the memory of 20 threads grows for hours (docs/reliability.md).
ENV PATH=/opt/worker/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /app
EXPOSE 8040 8041
HEALTHCHECK --interval=30s --timeout=4s --start-period=10s CMD ["reservation-worker", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["reservation-worker"]
