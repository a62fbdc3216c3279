# One image, one registry: data in /data, libp2p on 9470, HTTPS on 8443, settings from the environment (.env.example).

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The image has its Node already, and every native module brings its prebuilt binary: no install script is needed.
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY protocols ./protocols
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24-slim
ENV NODE_ENV=production REGISTRY_DATA_DIR=/data
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json ./
COPY src/cli/registry.js ./src/cli/registry.js
# `docker exec <container> registry status` finds it; the volume is made with the rights of this directory.
RUN ln -s /app/src/cli/registry.js /usr/local/bin/registry \
  && chmod 0755 /app/src/cli/registry.js \
  && install --directory --mode=0700 --owner=node --group=node /data
USER node
VOLUME /data
EXPOSE 9470 8443
# Asked is whether the HTTPS interface answers, or the admin socket where that is off. The certificate is the registry's own and
# short-lived: whether it is the right one is for others to ask.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "const env=process.env,at=env.REGISTRY_HTTP||'0.0.0.0:8443',exit=(answer)=>process.exit(answer.statusCode===200?0:1);(at==='none'?require('node:http').get({socketPath:env.REGISTRY_DATA_DIR+'/admin.sock',path:'/admin/status'},exit):require('node:https').get('https://'+at+'/healthz',{rejectUnauthorized:false},exit)).on('error',(error)=>{console.error(error.message);process.exit(1)})"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["registry"]
CMD ["start"]
