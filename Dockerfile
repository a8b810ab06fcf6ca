# Paths in the first stage are relative, so test/container.check.ts can run its steps on a machine without Docker.
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.json README.md LICENSE ./
RUN npm ci --no-audit --no-fund
COPY src src
COPY schema schema
# The demo, the command that can start it, and the source that frontends copy are not for production.
RUN tar --exclude=package/src --exclude=dist/cli.js --exclude=dist/demo.js --exclude=dist/embedded-zitadel -xzf "$(npm pack --silent)"
RUN npm prune --omit=dev --no-audit --no-fund && mv node_modules package

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /build/package ./
USER node
EXPOSE 4001
HEALTHCHECK --start-period=5s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 4001}/health/live`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main.js"]
