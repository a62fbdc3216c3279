import { Client } from "undici";
import { publicKeyOfDid, trustDomainOf } from "../../../protocols/lib/did.ts";
import type { CancelTimer, Clock } from "../../ports/clock.ts";
import type { Credentials } from "../../ports/credentials.ts";
import type { Log } from "../../ports/log.ts";
import { WebError, type WebPeer } from "../../ports/web.ts";
import { createConnector } from "./connector.ts";
import type { Guard } from "./guard.ts";

/** Registries to whom a connection is kept; the one that was used longest ago leaves first. */
export const CONNECTIONS_MAX = 256;
/** A connection without a request is closed after this time. */
export const IDLE_MS = 60_000;
/** What is under way on a connection that has to end may take this long. */
export const GRACE_MS = 5_000;

/**
 * Whether the chain (DER, leaf first) is an SVID of `did` under its `bundle` now.
 * @throws Error that says why not
 */
export type VerifyPeer = (chain: readonly Uint8Array[], bundle: string, did: string) => { readonly notAfterMs: number };

export interface ConnectionsOptions {
  readonly credentials: Credentials;
  readonly verifyPeer: VerifyPeer;
  readonly clock: Clock;
  readonly log: Log;
}

interface Connection {
  readonly client: Client;
  readonly peer: WebPeer;
  /** Ends it when the peer's certificate ends. */
  cancelEnd: CancelTimer;
  /** Whether a handshake was completed before now, so that a loss may be the end of an old session. */
  established: boolean;
}

/**
 * One HTTP/2 connection with mutual TLS for each registry. It serves new requests as long as both certificates and the peer's
 * bundle are those of now; then the next request makes another one, while requests under way end on the old (T5, T6, T7).
 */
export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #open = new Map<string, Connection>();
  readonly #ending = new Set<Client>();
  readonly #unsubscribe: () => void;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#unsubscribe = options.credentials.onChange((what) => {
      if (what === "svid") for (const key of [...this.#open.keys()]) this.#retire(key);
    });
  }

  /** The connection for one request to `peer` at `url`; it is made when the request needs it. */
  take(peer: WebPeer, url: URL, guard: Guard): { readonly client: Client; readonly established: boolean } {
    const key = `${peer.did} ${url.origin}`;
    const held = this.#open.get(key);
    if (held !== undefined && held.peer.bundle === peer.bundle && held.peer.named === peer.named) {
      this.#open.delete(key);
      this.#open.set(key, held);
      return held;
    }
    this.#retire(key);
    for (const oldest of this.#open.keys()) {
      if (this.#open.size < CONNECTIONS_MAX) break;
      this.#retire(oldest);
    }
    const made = this.#connection(key, peer, url, guard);
    this.#open.set(key, made);
    return made;
  }

  /** Nothing answers on this connection any more: the next request makes another one. */
  drop(peer: WebPeer, url: URL, client: Client): void {
    const key = `${peer.did} ${url.origin}`;
    if (this.#open.get(key)?.client === client) this.#retire(key);
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    for (const key of [...this.#open.keys()]) this.#retire(key);
    await Promise.all([...this.#ending].map((client) => client.destroy()));
  }

  #connection(key: string, peer: WebPeer, url: URL, guard: Guard): Connection {
    const { credentials, verifyPeer, clock } = this.#options;
    const trustDomain = trustDomainOf(publicKeyOfDid(peer.did));
    const connector = createConnector({
      ...{ url, guard, clock },
      tls: () => {
        const { certificate, key: privateKey } = credentials.svid();
        // By this name the server shows its SVID, whatever certificate it has for browsers.
        return { minVersion: "TLSv1.3", servername: trustDomain, cert: certificate, key: privateKey };
      },
      accept: (_socket, chain) => {
        const { notAfterMs } = proved(() => verifyPeer(chain, peer.bundle, peer.did), url, peer.did);
        connection.established = true;
        connection.cancelEnd();
        connection.cancelEnd = clock.after(Math.max(0, notAfterMs - clock.now()), () => {
          if (this.#open.get(key) === connection) this.#retire(key);
        });
      },
    });
    const client = new Client(url.origin, { connect: connector, keepAliveTimeout: IDLE_MS });
    const connection: Connection = { client, peer, cancelEnd: () => undefined, established: false };
    return connection;
  }

  #retire(key: string): void {
    const connection = this.#open.get(key);
    if (connection === undefined) return;
    const { client, cancelEnd } = connection;
    this.#open.delete(key);
    this.#ending.add(client);
    cancelEnd();
    const cancel = this.#options.clock.after(GRACE_MS, () => void client.destroy().catch(() => undefined));
    client
      .close()
      .catch((error: unknown) => this.#options.log.debug("a connection did not close", { did: connection.peer.did, error }))
      .finally(() => {
        cancel();
        this.#ending.delete(client);
      });
  }
}

/** @throws WebError `wrong_identity` */
export function proved<T>(verify: () => T, url: URL, did: string): T {
  try {
    return verify();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new WebError("wrong_identity", `the certificate of ${url.host} is not one of ${did}: ${why}`, { cause: error });
  }
}
