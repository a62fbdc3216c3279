import { isIP } from "node:net";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import type { X509Certificate } from "node:crypto";
import type { buildConnector } from "undici";
import type { Clock } from "../../ports/clock.ts";
import { WebError } from "../../ports/web.ts";
import { guardedLookup, hostOf, type Guard } from "./guard.ts";

/** Time for the name, the TCP connection and the TLS handshake together. */
export const CONNECT_TIMEOUT_MS = 5_000;
/** Certificates that are taken of a chain: a leaf, and authorities between it and the root. */
const CHAIN_MAX = 4;

export interface ConnectorOptions {
  readonly url: URL;
  readonly guard: Guard;
  readonly clock: Clock;
  /** Asked for each connection: nobody keeps a certificate that rotates. */
  readonly tls: () => Pick<ConnectionOptions, "minVersion" | "cert" | "key" | "ca" | "servername">;
  /** Decides over the other side before anything is sent to it. @throws WebError */
  readonly accept: (socket: TLSSocket, chain: readonly Uint8Array[]) => void;
}

/**
 * Connects and proves the other side anew each time: no session is resumed, since a resumed one shows no certificate. What the
 * certificate must be is said by `accept` alone.
 */
export function createConnector({ url, guard, clock, tls, accept }: ConnectorOptions): buildConnector.connector {
  return (_options, callback) => {
    const host = hostOf(url);
    const ended = new AbortController();
    const socket = connect({
      ...{ host, port: Number(url.port || "443"), lookup: guardedLookup(guard, ended.signal) },
      ALPNProtocols: ["h2", "http/1.1"],
      // An address cannot be a server name (RFC 6066 section 3).
      ...(isIP(host) === 0 && { servername: host }),
      ...tls(),
      rejectUnauthorized: false,
    });
    socket.setNoDelay(true);
    const settle = (error: Error | undefined): void => {
      cancel();
      ended.abort();
      socket.off("error", settle);
      socket.off("close", closed);
      if (error === undefined) return callback(null, socket);
      socket.on("error", () => undefined);
      socket.destroy();
      callback(error, null);
    };
    const closed = (): void => settle(new WebError("unreachable", `${url.host} closed the connection during the handshake`));
    const cancel = clock.after(CONNECT_TIMEOUT_MS, () =>
      settle(new WebError("timeout", `${url.host} did not complete a TLS handshake in ${CONNECT_TIMEOUT_MS} ms`)),
    );
    socket.on("error", settle);
    socket.on("close", closed);
    socket.once("secureConnect", () => {
      try {
        accept(socket, chainOf(socket.getPeerX509Certificate()));
        settle(undefined);
      } catch (error) {
        settle(error as Error);
      }
    });
  };
}

/** DER, leaf first. */
function chainOf(leaf: X509Certificate | undefined): Uint8Array[] {
  const chain: Uint8Array[] = [];
  for (let at = leaf; at !== undefined && chain.length < CHAIN_MAX; at = at.issuerCertificate) {
    // A root names itself as its issuer.
    if (chain.some((known) => Buffer.compare(known, (at as X509Certificate).raw) === 0)) break;
    chain.push(at.raw);
  }
  return chain;
}
