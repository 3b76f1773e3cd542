# The explorer's page: docker build -t explorer . && docker run -p 127.0.0.1:7860:7860 explorer
# With --build-arg PIP_FLAGS="--extra-index-url URL" of PyTorch's CPU wheel index (README.md) the image is some gigabytes smaller.
FROM python:3.12-slim AS packages
ARG PIP_FLAGS=
COPY requirements.txt constraints.txt /
RUN python -m venv --without-pip /packages \
    && pip --python /packages/bin/python install --no-cache-dir ${PIP_FLAGS} --constraint /constraints.txt --requirement /requirements.txt

FROM python:3.12-slim
RUN useradd --create-home --uid 1000 explorer
COPY --from=packages /packages /packages
WORKDIR /app
COPY app.py LICENSE ./
COPY dmm dmm
COPY explorer explorer
COPY assets/checkpoints assets/checkpoints
COPY assets/results assets/results
USER explorer
ENV PATH=/packages/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=7860
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'], timeout=9).read()"]
ENTRYPOINT ["python", "app.py"]
