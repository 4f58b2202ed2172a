# Two targets:  docker build --target cpu -t scener1:cpu .   |   docker build --target gpu -t scener1:gpu .
# Run as your own user's files:  docker run --rm -v "$PWD:/data" -w /data scener1:cpu demo

FROM python:3.11-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
# What Open3D loads at import.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libgomp1 libusb-1.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 scener1
WORKDIR /opt/scener1

FROM base AS cpu
# The CPU build first, so that nothing later pulls several GB of CUDA packages.
RUN pip install --index-url https://download.pytorch.org/whl/cpu torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY scene_r1_cli scene_r1_cli
RUN pip install ".[train]"
USER scener1
ENTRYPOINT ["scener1"]
CMD ["--help"]

FROM base AS gpu
# PyPI's torch for Linux carries its own CUDA libraries; the host needs only the NVIDIA driver and container toolkit.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY scene_r1_cli scene_r1_cli
RUN pip install -c constraints.txt ".[train]"
USER scener1
ENTRYPOINT ["scener1"]
CMD ["--help"]
