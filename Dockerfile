# syntax=docker/dockerfile:1

# The console, which is made of files alone once it is built.
FROM node:24.21.0-bookworm-slim AS console
WORKDIR /latchkey
COPY package.json package-lock.json .npmrc tsconfig.json ./
COPY sdk sdk
COPY console console
# What the console is built with, and none of the tools of the rest.
RUN npm ci --ignore-scripts --no-audit --no-fund --workspace=console
RUN npm run build --workspace=console

# What the server needs to run, without scripts: bcrypt brings its binaries with it. Without optional dependencies, of which
# the only ones of use would be the binaries of a PostgreSQL of its own: here it works with one that is given.
FROM node:24.21.0-bookworm-slim AS dependencies
WORKDIR /latchkey
COPY package.json package-lock.json .npmrc ./
COPY sdk/package.json sdk/
COPY console/package.json console/
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --workspaces=false

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=4000 \
    SHUTDOWN_DELAY_SECONDS=5
WORKDIR /latchkey
# Owned by root: the server may read its own code, and change none of it. It writes no file at all.
COPY --from=dependencies /latchkey/node_modules node_modules
COPY --from=console /latchkey/console/dist console/dist
COPY package.json ./
COPY migrations migrations
COPY sdk/operations sdk/operations
COPY server server
# The image's user “node”. By its number, so that a cluster can tell that it is not root.
USER 1000:1000
EXPOSE 4000
# Alive, not ready: a database that is away is no reason to start the server anew.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node itself, and no npm or shell in between, so that it hears the signal to stop.
CMD ["node", "server/main.ts"]
