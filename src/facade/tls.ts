import { constants } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Credentials } from "../ports/credentials.ts";
import { HANDSHAKE_MS_MAX } from "./limits.ts";

/** A certificate of the public web, for browsers and plain clients that come by the domain name. */
export interface WebCertificate {
  /** PEM: the leaf and what leads to a root that browsers know. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** Chosen by SNI. */
  readonly domain: string;
}

/**
 * What a new connection meets. Every call must name all of it: `setSecureContext` forgets what it is not told. Without tickets
 * nobody resumes a session, so that every handshake proves its key anew (T6).
 */
export function secureContextOptions(credentials: Credentials): SecureContextOptions {
  const { certificate, key } = credentials.svid();
  return { cert: certificate, key, ...COMMON };
}

const COMMON: SecureContextOptions = {
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.3",
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
};

/**
 * A client certificate is asked for and whatever comes is taken: each route decides what it needs. The default certificate is
 * our SVID, the web's is for who names the domain.
 */
export function tlsOptions(credentials: Credentials, web: WebIdentity | undefined): TlsServerOptions {
  return {
    ...secureContextOptions(credentials),
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_MS_MAX,
    ...(web && { SNICallback: (name, done) => done(null, web.contextFor(name)) }),
  };
}

export interface TlsServerOptions extends SecureContextOptions {
  readonly requestCert: true;
  readonly rejectUnauthorized: false;
  readonly handshakeTimeout: number;
  readonly SNICallback?: SniCallback;
}

type SniCallback = (name: string, done: (error: Error | null, context?: SecureContext) => void) => void;

/** What those meet who name the domain: the newest certificate, on each new connection. */
export class WebIdentity {
  readonly #domain: string;
  #context: SecureContext;

  /** @throws the TLS library's error for a pair that cannot be served */
  constructor({ domain, ...pair }: WebCertificate) {
    this.#domain = domain;
    this.#context = contextOf(pair);
  }

  /** Connections that are open go on. @throws the TLS library's error for a pair that cannot be served; the old one stays */
  renew(pair: Omit<WebCertificate, "domain">): void {
    this.#context = contextOf(pair);
  }

  contextFor(name: string): SecureContext | undefined {
    return name.toLowerCase() === this.#domain ? this.#context : undefined;
  }
}

function contextOf({ certificate, key }: Omit<WebCertificate, "domain">): SecureContext {
  return createSecureContext({ cert: certificate, key, ...COMMON });
}
