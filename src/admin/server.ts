import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { AdminError, toAdminError } from "./errors.ts";
import type { ErrorLine } from "./messages.ts";
import { NDJSON, parseStrict, readLines } from "./ndjson.ts";
import { findRoute, type Route, type RouteContext, type StoppableNode } from "./routes.ts";
import { bindSocket } from "./socket.ts";
import { placeSocket, removeLink, writeLink } from "./socket-path.ts";

/** The longest body of a request that is no stream, in bytes. */
export const BODY_BYTES_MAX = 65_536;
const HEADER_BYTES_MAX = 8_192;
const HEADERS_MAX = 50;
const HEADERS_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 64;
/** Requests still open this long after the node has stopped are cut, in milliseconds. */
const CLOSE_GRACE_MS = 1_000;

export interface AdminServerOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Where `XDG_RUNTIME_DIR` is looked up when the socket does not fit into the data directory. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface AdminServer {
  readonly socketPath: string;
  /** Ends open requests, closes the socket and removes it. */
  readonly close: () => Promise<void>;
}

/**
 * Serves the admin API to the user who runs the node: HTTP/1.1 and JSON over a Unix socket that nobody else may open (0600).
 * @throws AdminSocketError when another node serves this data directory, or something else stands at the path
 */
export async function startAdminServer(node: StoppableNode, options: AdminServerOptions): Promise<AdminServer> {
  const { promise: closed, resolve: markClosed } = Promise.withResolvers<void>();
  const context: RouteContext = { node, clock: options.clock, closed };
  const server = createServer(
    // A stream of mutations lasts as long as its source, so only the headers have a deadline.
    { maxHeaderSize: HEADER_BYTES_MAX, headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 },
    (request, response) => void serve(context, request, response, options.log),
  );
  server.maxHeadersCount = HEADERS_MAX;
  server.maxConnections = CONNECTIONS_MAX;
  const place = placeSocket(options.dataDir, options.environment);
  await bindSocket(server, place.path);
  writeLink(place);
  return {
    socketPath: place.path,
    close: async () => {
      markClosed();
      removeLink(place);
      await closeServer(server, options.clock);
    },
  };
}

async function closeServer(server: Server, clock: Clock): Promise<void> {
  if (!server.listening) return;
  const ended = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const cancel = clock.after(CLOSE_GRACE_MS, () => server.closeAllConnections());
  await ended;
  cancel();
}

async function serve(context: RouteContext, request: IncomingMessage, response: ServerResponse, log: Log): Promise<void> {
  response.on("error", () => {});
  try {
    const url = new URL(request.url ?? "/", "http://admin");
    const route = findRoute(url.pathname, request.method ?? "");
    await answer(context, route, request, response, url);
  } catch (error) {
    const known = toAdminError(error);
    if (known.code === "internal")
      log.error("admin request failed", { path: request.url, error: String((error as Error)?.stack ?? error) });
    refuse(request, response, known);
  }
}

async function answer(
  context: RouteContext,
  route: Route,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  if (route.kind === "duplex") {
    requireType(request, NDJSON);
    return sendLines(request, response, route.run(context, readLines(received(request))));
  }
  const input = request.method === "POST" ? await readBody(request) : readQuery(url);
  if (route.kind === "stream") return sendLines(request, response, route.run(context, input));
  const text = JSON.stringify(await route.run(context, input));
  response.writeHead(200, { "content-type": "application/json" }).end(text);
}

function readQuery(url: URL): Record<string, string> {
  const query: Record<string, string> = {};
  for (const [name, value] of url.searchParams) {
    if (Object.hasOwn(query, name)) throw new AdminError("bad_request", `${name} is given twice`);
    query[name] = value;
  }
  return query;
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  requireType(request, "application/json");
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of received(request)) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new AdminError("too_large", `the body is longer than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return parseStrict(Buffer.concat(chunks));
}

/** The body; giving up on it must not cut the connection on which the refusal goes back. */
function received(request: IncomingMessage): AsyncIterable<Uint8Array> {
  return request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
}

function requireType(request: IncomingMessage, type: string): void {
  const given = request.headers["content-type"] ?? "nothing";
  if (given.split(";")[0]?.trim() !== type) throw new AdminError("unsupported_media_type", `send ${type}, not ${given}`);
}

/** The first line is awaited before the status goes out, so that what fails at once fails with its own status. */
async function sendLines(request: IncomingMessage, response: ServerResponse, lines: AsyncIterable<unknown>): Promise<void> {
  const iterator = lines[Symbol.asyncIterator]();
  const gone = new Promise((resolve) => response.once("close", resolve));
  // A stream is the last thing on its connection: a server that closes need not wait for the client to hang up.
  response.shouldKeepAlive = false;
  try {
    let next = await iterator.next();
    response.writeHead(200, { "content-type": NDJSON });
    while (!next.done && !response.destroyed) {
      const isFull = !response.write(JSON.stringify(next.value) + "\n");
      if (isFull) await Promise.race([once(response, "drain"), gone]);
      next = await iterator.next();
    }
    response.end();
  } catch (error) {
    if (!response.headersSent || response.destroyed) throw error;
    const { code, message } = toAdminError(error);
    const line: ErrorLine = { type: "error", code, message };
    response.end(JSON.stringify(line) + "\n");
    request.resume();
  } finally {
    await iterator.return?.();
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, { status, code, message }: AdminError): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  // What is still being sent is read and dropped: a reset would reach the client before the answer does.
  request.resume();
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ code, message }));
}
