import { createSecureServer, type Http2SecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import type { Clock } from "../ports/clock.ts";
import type { Credentials } from "../ports/credentials.ts";
import type { Log } from "../ports/log.ts";
import { NetworkError } from "../ports/network.ts";
import { sentAnswer, sentProblem } from "./answer.ts";
import { App, type AnyRequest, type AnyResponse, type RequestHandler } from "./app.ts";
import { Connections, type ConnectionBounds } from "./connections.ts";
import type { FacadeContext } from "./context.ts";
import { federationRoutes } from "./federation-routes.ts";
import { http2Options, setHttp1Limits } from "./http-options.ts";
import { CLOSE_DRAIN_MS_MAX, SWEEP_MS } from "./limits.ts";
import { mountRoutes } from "./mount.ts";
import { openApiRoute } from "./openapi.ts";
import { PendingAnswers } from "./pending-answers.ts";
import { HEALTH_PATH, HEALTHY, publicRoutes } from "./public-routes.ts";
import { Recognition } from "./recognition.ts";
import { busyProblem } from "./refusals.ts";
import type { Route } from "./route.ts";
import { openServices } from "./services.ts";
import { Shedding } from "./shedding.ts";
import { secureContextOptions, tlsOptions, WebIdentity, type WebCertificate } from "./tls.ts";

export interface FacadeOptions {
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly credentials: Credentials;
  readonly webCertificate?: WebCertificate;
  readonly clock: Clock;
  readonly log: Log;
  /** CONNECTIONS_MAX and CONNECTIONS_RESERVED by default. */
  readonly connections?: ConnectionBounds;
}

/** The registry's web face. */
export interface Facade {
  /** As bound. */
  readonly host: string;
  readonly port: number;
  /**
   * Begins to serve: the routes of this registry and `more`. Before that everything but `/healthz` is answered with 503.
   * @throws StoreError when the nonces of before cannot be read
   */
  serve(context: FacadeContext, more?: readonly Route[]): Promise<void>;
  /** New connections to the domain meet this pair from now on; nothing where no web certificate is served. */
  renewWebCertificate(pair: Omit<WebCertificate, "domain">): void;
  /** Lets requests in flight end, for CLOSE_DRAIN_MS_MAX at most. Safe to call twice. */
  close(): Promise<void>;
}

/** Binds at once, so that the port is known before the node starts. @throws NetworkError `address_in_use`, `address_invalid` */
export async function openFacade(options: FacadeOptions): Promise<Facade> {
  const server = new FacadeServer(options);
  await server.listen(options.listen);
  return server;
}

class FacadeServer implements Facade {
  readonly #server: Http2SecureServer;
  readonly #connections: Connections;
  readonly #pending = new PendingAnswers();
  readonly #clock: Clock;
  readonly #stopRotation: () => void;
  readonly #web: WebIdentity | undefined;
  #handler: RequestHandler = answerStarting;
  #app: App | undefined;
  #cancelSweep: () => void;
  #closed: Promise<void> | undefined;

  constructor({ credentials, webCertificate, clock, log, connections }: FacadeOptions) {
    this.#clock = clock;
    this.#web = webCertificate && new WebIdentity(webCertificate);
    this.#server = createSecureServer({ ...tlsOptions(credentials, this.#web), ...http2Options() });
    setHttp1Limits(this.#server);
    this.#connections = new Connections(this.#server, clock, connections);
    this.#server.on("request", (request: AnyRequest, response: AnyResponse) => {
      this.#connections.answering(request, response);
      this.#handler(request, response);
    });
    this.#stopRotation = credentials.onChange((what) => {
      if (what !== "svid") return;
      try {
        this.#server.setSecureContext(secureContextOptions(credentials));
      } catch (error) {
        log.error("the new certificate cannot be served", { error });
      }
    });
    this.#cancelSweep = clock.after(SWEEP_MS, () => this.#sweep());
  }

  get host(): string {
    return (this.#server.address() as AddressInfo).address;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async listen({ host, port }: FacadeOptions["listen"]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen({ host, port }, resolve);
    try {
      await promise;
    } catch (cause) {
      this.#stopRotation();
      this.#cancelSweep();
      throw listenError(cause as NodeJS.ErrnoException, host, port);
    }
    this.#server.off("error", reject);
  }

  async serve(context: FacadeContext, more: readonly Route[] = []): Promise<void> {
    const services = await openServices(context);
    const recognition = new Recognition(services);
    this.#connections.recogniseBy((connection) => recognition.recognise(connection));
    const shedding = new Shedding(() => context.pressure.eventLoop());
    for (const end of ["secureConnection", "tlsClientError"]) this.#server.on(end, () => shedding.handshake());
    const app = new App({
      ...{ server: this.#server, connections: this.#connections, pending: this.#pending, services, shedding },
    });
    const routes = [...publicRoutes(context), ...federationRoutes(context), ...more];
    mountRoutes(app, [...routes, openApiRoute(routes)]);
    const handler = await app.ready();
    this.#app = app;
    this.#handler = handler;
  }

  renewWebCertificate(pair: Omit<WebCertificate, "domain">): void {
    this.#web?.renew(pair);
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#stopRotation();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#connections.closeAll(CLOSE_DRAIN_MS_MAX);
    await promise;
    this.#cancelSweep();
    await this.#app?.app.close();
  }

  #sweep(): void {
    this.#connections.sweep();
    this.#pending.sweep(this.#clock.monotonic());
    this.#cancelSweep = this.#clock.after(SWEEP_MS, () => this.#sweep());
  }
}

/** Until the node is there. */
function answerStarting(request: AnyRequest, response: AnyResponse): void {
  const isHealth = request.url === HEALTH_PATH && request.method === "GET";
  const { status, headers, body } = isHealth
    ? sentAnswer(HEALTHY, undefined)
    : sentProblem(busyProblem("the registry is starting; try again in a moment"), undefined);
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end(body);
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): NetworkError {
  const at = `${host}:${port}`;
  if (cause.code === "EADDRINUSE") return new NetworkError("address_in_use", `${at} is taken by another process`, { cause });
  return new NetworkError("address_invalid", `cannot listen on ${at}: ${cause.message}`, { cause });
}
