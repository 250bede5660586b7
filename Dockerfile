# An image with smooseg's environment, on the CPU; for the Kubernetes profile and wherever containers are run.
#   docker build --tag smooseg .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD":/work smooseg --cores all
# For NVIDIA GPUs, build with --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126
FROM python:3.12-slim-bookworm
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY . /opt/smooseg
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" torch torchvision \
    && pip install --no-cache-dir '/opt/smooseg[raster,export,s3,kubernetes]' \
    && rm -rf /opt/smooseg/build /opt/smooseg/smooseg.egg-info
WORKDIR /work
# caches lie where every user may write; USER is the name of a user id that has none in this image
ENV XDG_CACHE_HOME=/tmp MPLCONFIGDIR=/tmp USER=smooseg
ENTRYPOINT ["smooseg", "workflow", "--"]
