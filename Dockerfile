# The current stack: docker build -t adjustable . && docker run --rm adjustable
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends g++ git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/adjustable-quantization
COPY . .
RUN make setup
CMD ["make", "demo"]
