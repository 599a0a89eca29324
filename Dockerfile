# One image for our services of docker-compose.yml and docker-compose.team.yml.
# A machine without a GPU saves gigabytes with: --build-arg PIP_EXTRA_INDEX_URL=<CPU wheels of torch>
FROM python:3.11-slim

ARG PIP_EXTRA_INDEX_URL=""
# Extras of the package, for instance [team]
ARG EXTRAS=""
ENV PIP_EXTRA_INDEX_URL=${PIP_EXTRA_INDEX_URL} \
    PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false

# wget: probes of KubeRay (deploy/kubernetes/rayjob.yaml)
RUN apt-get update && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY recsys recsys
COPY hpo hpo
COPY studies studies
RUN pip install --no-cache-dir --constraint constraints.txt ".${EXTRAS}"

# /data holds everything that is made at run time, /volumes what other images keep; a new volume takes
# its owner from here
RUN useradd --create-home --uid 1000 app && mkdir -p /data /volumes/objects /volumes/proxy \
    && chown -R app:app /data /volumes
USER app
VOLUME /data
CMD ["python", "-m", "hpo.run", "--help"]
