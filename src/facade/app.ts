import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2SecureServer, Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Readable } from "node:stream";
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteGenericInterface } from "fastify";
import { addressed, sentAnswer, sentProblem, type Sent } from "./answer.ts";
import { readBody } from "./body.ts";
import { HeldBodies, type BodyRoom } from "./held-bodies.ts";
import type { Connections } from "./connections.ts";
import { gate, type GateParts } from "./gate.ts";
import { BODY_BYTES_MAX, PARAM_LENGTH_MAX, UNREAD_BYTES_MAX } from "./limits.ts";
import { ProblemError } from "./problem.ts";
import { busyProblem, closingProblem, internalProblem, problemOf } from "./refusals.ts";
import { RequestCaller } from "./request-caller.ts";
import { authorityOf, mayHaveBody } from "./request-line.ts";
import type { Answer, Route } from "./route.ts";

/** Requests come over HTTP/2 or HTTP/1.1; both kinds look alike to what is used of them here. */
export type AnyRequest = IncomingMessage | Http2ServerRequest;
export type AnyResponse = ServerResponse | Http2ServerResponse;
export type RequestHandler = (request: AnyRequest, response: AnyResponse) => void;

export interface AppParts extends GateParts {
  readonly server: Http2SecureServer;
  readonly connections: Connections;
}

type Request = FastifyRequest<RouteGenericInterface, Http2SecureServer>;
type Reply = FastifyReply<RouteGenericInterface, Http2SecureServer>;

/**
 * The application around routes: who calls, what is let in, bodies as bytes, answers signed and bounded, errors as problems
 * (RFC 9457). `ready` gives what to call for each request.
 */
export class App {
  readonly app: FastifyInstance<Http2SecureServer>;
  readonly #parts: AppParts;
  readonly #callers = new WeakMap<Request, RequestCaller>();
  readonly #bodies = new HeldBodies();
  readonly #rooms = new WeakMap<Request, BodyRoom>();
  #handler: RequestHandler | undefined;

  constructor(parts: AppParts) {
    this.#parts = parts;
    this.app = fastify<Http2SecureServer>({
      http2: true,
      https: {},
      serverFactory: (handler) => {
        this.#handler = handler as RequestHandler;
        return parts.server;
      },
      logger: false,
      bodyLimit: BODY_BYTES_MAX,
      return503OnClosing: false,
      routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
      frameworkErrors: (error, request, reply) => void this.#fail(error, request as Request, reply as unknown as Reply),
      clientErrorHandler: (_error, socket) => void (socket.writable ? socket.end(BAD_REQUEST) : socket.destroy()),
    });
    this.#setUp();
  }

  /** Nothing can be mounted afterwards. */
  async ready(): Promise<RequestHandler> {
    await this.app.ready();
    return this.#handler as RequestHandler;
  }

  callerOf(request: Request): RequestCaller {
    return this.#callers.get(request) as RequestCaller;
  }

  send(request: Request, reply: Reply, answer: Answer): Reply {
    return this.#send(request, reply, sentAnswer(answer, routeOf(request)));
  }

  #setUp(): void {
    const { app } = this;
    app.addHook("onRequest", async (request: Request, reply: Reply) => {
      const caller = this.#makeCaller(request);
      this.#callers.set(request, caller);
      await gate(this.#parts, routeOf(request), caller);
      if (mayHaveBody(request.raw)) this.#openRoom(request, reply);
    });
    app.addHook("preValidation", async (request: Request) => {
      // The framework reads none where it expects none, or where no type of it is named: it would be served unseen.
      if (request.body === undefined && mayHaveBody(request.raw)) request.body = await this.#readBody(request, request.raw);
    });
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (request: Request, payload: Readable) => this.#readBody(request, payload));
    app.setNotFoundHandler((request: Request, reply: Reply) =>
      this.#fail(new ProblemError(404, "not_found", "there is nothing here; see /openapi.json"), request, reply),
    );
    app.setErrorHandler((error, request: Request, reply: Reply) => this.#fail(error, request, reply));
  }

  #openRoom(request: Request, reply: Reply): void {
    const raw: AnyResponse = reply.raw;
    // No end of it would come any more that could be waited for.
    if (isOver(raw)) throw new ProblemError(400, "body_cut", "the request ended before its body was complete");
    const room = this.#bodies.open(this.callerOf(request));
    this.#rooms.set(request, room);
    raw.once("close", () => room.release());
  }

  async #readBody(request: Request, payload: Readable): Promise<Buffer> {
    const route = routeOf(request);
    const bytesMax = BODILESS.has(request.method) ? 0 : (route?.bodyBytesMax ?? BODY_BYTES_MAX);
    const { clock } = this.#parts.services.context;
    const room = this.#rooms.get(request);
    if (room === undefined) return Buffer.alloc(0);
    try {
      return await readBody(payload, { declared: request.headers["content-length"], bytesMax, room, clock });
    } catch (error) {
      if (route?.isContinuation !== undefined) this.callerOf(request).count("request");
      throw error;
    }
  }

  #makeCaller(request: Request): RequestCaller {
    const raw: AnyRequest = request.raw;
    const authority = authorityOf(raw);
    const connection = this.#parts.connections.of(raw);
    if (connection === undefined) throw closingProblem();
    return new RequestCaller(this.#parts.services, connection, {
      method: raw.method ?? "",
      authority,
      target: raw.url ?? "",
      rawHeaders: raw.rawHeaders,
      authorization: raw.headers.authorization,
    });
  }

  #fail(error: unknown, request: Request, reply: Reply): Reply {
    const { log } = this.#parts.services.context;
    const problem = problemOf(error) ?? frameworkProblem(error);
    const isOurFault = problem === undefined || problem.status === 500;
    if (isOurFault) log.error("a request failed", { error, route: routeOf(request)?.path });
    return this.#send(request, reply, sentProblem(problem ?? internalProblem(), routeOf(request)));
  }

  #send(request: Request, reply: Reply, plain: Sent): Reply {
    const { pending, services } = this.#parts;
    const raw: AnyResponse = reply.raw;
    // Who asked is gone; no end of the stream would come any more that could be waited for.
    if (isOver(raw)) return reply.hijack();
    const caller = this.#callers.get(request);
    if (caller !== undefined && plain.body.length > SMALL_ANSWER_BYTES && !pending.admits(caller.addressKey)) {
      // Asked for together, they were all admitted before the first was ready.
      const detail = "answers to this address wait to be read: read them before you ask for more";
      return this.#send(request, reply, sentProblem(busyProblem(detail), routeOf(request)));
    }
    const { status, headers, body } = addressed(plain, caller, services.context.identity);
    if (caller !== undefined) {
      const taken = pending.add(caller.addressKey, body.length, services.context.clock.monotonic(), () => cut(raw));
      raw.once("close", taken);
    }
    // The framework asks for it where a body could not be read; HTTP/2 has no such header.
    if ("stream" in raw) reply.removeHeader("connection");
    if (!request.raw.complete) endWithBody(request.raw, raw);
    // A length is said of bodies only: that of a 304 would be taken for the one of the document (RFC 9110 §8.6).
    return reply
      .code(status)
      .headers(headers)
      .send(body.length > 0 ? body : undefined);
  }
}

/** A body means nothing there (RFC 9110 §9.3.1): none is taken. */
const BODILESS: ReadonlySet<string> = new Set(["GET", "HEAD"]);

/** What is always given, however much waits: problem documents and the like. */
const SMALL_ANSWER_BYTES = 16_384;

export function routeOf(request: Request): Route | undefined {
  return (request.routeOptions?.config as { readonly route?: Route } | undefined)?.route;
}

/** Whether nobody can be answered any more. */
export function isOver(response: AnyResponse): boolean {
  return "stream" in response ? response.stream.closed || response.stream.destroyed : response.destroyed;
}

/**
 * After an answer that did not wait for the whole body. What little is left is read, since clients wait until they have sent it;
 * more is not (RFC 9113 §8.1, RFC 9112 §9.6).
 */
function endWithBody(request: AnyRequest, response: AnyResponse): void {
  if (!("stream" in response)) {
    response.setHeader("connection", "close");
    return;
  }
  const { stream } = response;
  let left = UNREAD_BYTES_MAX;
  stream.once("finish", () => {
    stream.on("data", (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) stream.close(NO_ERROR);
    });
    // Whoever refused it has paused it, and then nothing of it would come any more, nor would the sender ever end.
    request.resume();
  });
}

/** HTTP/2 error codes (RFC 9113 §7). */
const NO_ERROR = 0;
const CANCEL = 8;

function cut(response: AnyResponse): void {
  if ("stream" in response) response.stream.close(CANCEL);
  else response.socket?.destroy();
}

/** What the HTTP/1.1 parser refuses never becomes a request. */
const BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/** Errors of the router and the parsers of the framework: the caller's, and named so. */
function frameworkProblem(error: unknown): ProblemError | undefined {
  if (!(error instanceof Error) || !("statusCode" in error) || !("code" in error)) return undefined;
  const known = FRAMEWORK_PROBLEMS[String(error.code)];
  return known && new ProblemError(known[0], known[1], known[2], { cause: error });
}

const FRAMEWORK_PROBLEMS: Readonly<Record<string, readonly [status: number, code: string, detail: string]>> = {
  FST_ERR_BAD_URL: [400, "bad_path", "the path is not well percent-encoded"],
  FST_ERR_MAX_PARAM_LENGTH: [414, "path_too_long", `a part of the path has more than ${PARAM_LENGTH_MAX} characters`],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [415, "wrong_media_type", "the Content-Type is not a media type"],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [400, "bad_content_length", "the body has another length than Content-Length says"],
};
