# Paths in the first stage are relative, so test/container.check.ts can run its steps on a machine without Docker.
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.json .rolldown.js README.md LICENSE ./
RUN npm ci --no-audit --no-fund
COPY src src
COPY schema schema
# The demo, the command that can start it, and the source that frontends copy are not for production.
RUN tar --exclude=package/src --exclude=dist/cli.js --exclude=dist/demo.js --exclude=dist/embedded-zitadel -xzf "$(npm pack --silent)"
RUN npm prune --omit=dev --no-audit --no-fund && mv node_modules package

FROM node:24-slim
LABEL org.opencontainers.image.title="contact-phone-subgraph"
LABEL org.opencontainers.image.description="A federated GraphQL subgraph for the contact phone of a ZITADEL user"
LABEL org.opencontainers.image.version="0.2.0"
LABEL org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production
WORKDIR /app
# The files stay root's, so the server cannot change them.
COPY --from=build /build/package ./
# By number: Kubernetes' runAsNonRoot cannot check a name. It is the image's user `node`.
USER 1000:1000
EXPOSE 4001
HEALTHCHECK --start-period=5s CMD ["node", "dist/health-check.js"]
CMD ["node", "dist/bundle/main.js"]
