# syntax=docker/dockerfile:1

# What is built: the server, as a few files with the packages that it uses, and the console.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /latchkey
COPY package.json package-lock.json .npmrc tsconfig.json ./
COPY sdk/package.json sdk/
COPY console/package.json console/
# Without scripts: bcrypt brings its binaries with it, and the rest is built below.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY sdk sdk
COPY console console
COPY server server
COPY build.ts ./
RUN npm run build && npm run build --workspace=console

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=4000 \
    SHUTDOWN_DELAY_SECONDS=5
WORKDIR /latchkey
# Owned by root: the server may read its own code, and change none of it. It writes no file at all.
# Of the packages only those that are not code, or not JavaScript alone, and so are no part of what is built.
COPY --from=build /latchkey/node_modules/bcrypt node_modules/bcrypt
COPY --from=build /latchkey/node_modules/node-gyp-build node_modules/node-gyp-build
COPY --from=build /latchkey/node_modules/fxa-common-password-list node_modules/fxa-common-password-list
COPY --from=build /latchkey/console/dist console/dist
COPY --from=build /latchkey/dist dist
COPY package.json ./
COPY migrations migrations
COPY sdk/operations sdk/operations
# The image's user “node”. By its number, so that a cluster can tell that it is not root.
USER 1000:1000
EXPOSE 4000
# Alive, not ready: a database that is away is no reason to start the server anew.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node itself, and no npm or shell in between, so that it hears the signal to stop.
CMD ["node", "dist/main.js"]
