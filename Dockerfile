# Two stages: a Rust toolchain builds, a bare Debian runs. Nothing of the build stays in the image.
FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p tine

FROM debian:bookworm-slim
RUN useradd --uid 1000 --create-home --home-dir /home/tine tine \
    && install -d -o tine -g tine -m 0700 /data
COPY --from=build /src/target/release/tine /usr/local/bin/tine
USER 1000:1000
VOLUME /data
# RPC, P2P, explorer
EXPOSE 18443 18444 8181
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=5 \
    CMD ["/usr/local/bin/tine", "rpc", "--dir", "/data", "getblockcount"]
ENTRYPOINT ["/usr/local/bin/tine"]
