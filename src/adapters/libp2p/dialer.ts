import type { Connection } from "@libp2p/interface";
import type { Multiaddr } from "@multiformats/multiaddr";
import type { Libp2p } from "libp2p";
import { NetworkError, type DialTarget } from "../../ports/network.ts";
import type { Names } from "../names/names.ts";
import { parseAddress, type DialAddress } from "./addresses.ts";
import { checkedAddresses } from "./checked-addresses.ts";

import type { Links } from "./links.ts";

/** How long a connection that the peer dialled at the same time may take to reach us after ours was dropped. */
const CROSSING_MS_MAX = 500;

/** One dial under way; what is learnt when its connection opens is noted here, as libp2p's errors do not carry it. */
interface Attempt {
  readonly address: DialAddress;
  peerId?: string;
  verdict?: "wrong_peer" | "refused" | "duplicate";
}

export interface DialerOptions {
  readonly self: string;
  readonly links: Links;
  readonly allow: (peerId: string) => boolean;
  readonly allowPrivateAddresses: boolean;
  readonly names: Names;
}

/**
 * Dials one address after the other. It dials without `/p2p/`, so that a peer other than the expected one is told from a
 * failed handshake: its key is proved first, then compared.
 */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #attempts = new Set<Attempt>();

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  /** @throws NetworkError the most telling reason of all addresses */
  async connect(libp2p: Libp2p, target: DialTarget, signal: AbortSignal): Promise<string> {
    if (signal.aborted) throw gaveUp();
    const { peerId, whileConnected = false } = target;
    const known = peerId === undefined || whileConnected ? undefined : this.#options.links.ready(peerId);
    if (known !== undefined) return known.peerId;
    const failures: NetworkError[] = [];
    const isSaid = new Set(target.said);
    for (const text of [...isSaid, ...target.addresses]) {
      try {
        const address = expecting(parseAddress(text), target.peerId, text);
        const found = isSaid.has(text) ? await this.#checked(address, target, signal) : [address];
        return await this.#connectFirst(libp2p, found, whileConnected, signal);
      } catch (error) {
        if (signal.aborted) throw gaveUp(error);
        failures.push(error instanceof NetworkError ? error : unreachable(text, error));
      }
    }
    throw mostTelling(failures);
  }

  /** libp2p would dial for reasons of its own, too: an address is dialled only while it is tried here. */
  isDialling(address: Multiaddr): boolean {
    return this.#attemptsAt(address).length > 0;
  }

  /** Called in the tick in which a connection opens: drops the ones that nobody wants. */
  admit(connection: Connection): void {
    const peerId = connection.remotePeer.toString();
    const attempts = connection.direction === "outbound" ? this.#attemptsAt(connection.remoteAddr) : [];
    const wanted = attempts.filter(({ address }) => address.peerId === undefined || address.peerId === peerId);
    for (const attempt of attempts) attempt.peerId = peerId;
    for (const attempt of attempts) if (!wanted.includes(attempt)) attempt.verdict = "wrong_peer";
    if (wanted.length === 0 && attempts.length > 0) {
      connection.abort(new Error("not the peer that was to be dialled"));
      return;
    }
    const admission = this.#options.links.admit(connection, this.#options.allow(peerId));
    if (admission !== "pending") for (const attempt of wanted) attempt.verdict = admission;
  }

  #attemptsAt(address: Multiaddr): Attempt[] {
    const host = address.toString().replace(/\/p2p\/[^/]+$/, "");
    return [...this.#attempts].filter((attempt) => attempt.address.host.toString() === host);
  }

  #checked(address: DialAddress, target: DialTarget, signal: AbortSignal): Promise<DialAddress[]> {
    const { names, allowPrivateAddresses } = this.#options;
    return checkedAddresses(address, { names, isPrivateAllowed: allowPrivateAddresses || target.trusted === true }, signal);
  }

  /** @throws NetworkError the most telling reason */
  async #connectFirst(
    libp2p: Libp2p,
    found: readonly DialAddress[],
    whileConnected: boolean,
    signal: AbortSignal,
  ): Promise<string> {
    const failures: NetworkError[] = [];
    for (const address of found) {
      try {
        return await this.#connectOne(libp2p, address, whileConnected, signal);
      } catch (error) {
        if (signal.aborted || !(error instanceof NetworkError)) throw error;
        failures.push(error);
      }
    }
    throw mostTelling(failures);
  }

  async #connectOne(libp2p: Libp2p, address: DialAddress, whileConnected: boolean, signal: AbortSignal): Promise<string> {
    const { self, links } = this.#options;
    if (address.peerId === self) throw new NetworkError("refused", "the address is our own");
    const known = whileConnected ? undefined : this.#knownAt(address);
    if (known !== undefined) return known;
    const attempt: Attempt = { address };
    this.#attempts.add(attempt);
    try {
      const connection = await libp2p.dial(address.host, { signal, force: whileConnected });
      const link = links.find(connection);
      if (link !== undefined && (await orAborted(link.settled, signal))) return link.peerId;
    } catch (error) {
      if (attempt.verdict === undefined && attempt.peerId === undefined) throw explain(address, error);
    } finally {
      this.#attempts.delete(attempt);
    }
    return this.#resolve(attempt, signal);
  }

  /** The dial reached a peer and gave us no connection of its own. */
  async #resolve(attempt: Attempt, signal: AbortSignal): Promise<string> {
    const { links } = this.#options;
    const { peerId, verdict, address } = attempt;
    if (signal.aborted) throw gaveUp();
    if (verdict === "wrong_peer") {
      throw new NetworkError("wrong_peer", `${address.host.toString()} is ${peerId}, not the expected ${address.peerId}`);
    }
    const who = peerId ?? address.peerId;
    if (who === undefined || verdict === "refused") throw refused(address, who);
    if ((await links.next(who, CROSSING_MS_MAX, signal)) !== undefined) return who;
    if (signal.aborted) throw gaveUp();
    throw refused(address, who);
  }

  #knownAt({ host, peerId }: DialAddress): string | undefined {
    const { links } = this.#options;
    if (peerId !== undefined) return links.ready(peerId)?.peerId;
    const start = `${host.toString()}/p2p/`;
    return links
      .all()
      .find(({ connection }) => connection.direction === "outbound" && connection.remoteAddr.toString().startsWith(start))
      ?.peerId;
  }
}

function expecting(address: DialAddress, peerId: string | undefined, text: string): DialAddress {
  if (peerId !== undefined && address.peerId !== undefined && address.peerId !== peerId) {
    throw new NetworkError("wrong_peer", `the address ${text} names ${address.peerId}, not the expected ${peerId}`);
  }
  return { host: address.host, peerId: address.peerId ?? peerId };
}

function explain(address: DialAddress, error: unknown): NetworkError {
  const self = error instanceof Error && error.name === "InvalidPeerIdError";
  return self
    ? new NetworkError("refused", "the address is our own", { cause: error })
    : unreachable(address.host.toString(), error);
}

function unreachable(address: string, cause: unknown): NetworkError {
  return new NetworkError("unreachable", `${address} cannot be reached: ${(cause as Error).message}`, { cause });
}

function refused(address: DialAddress, peerId: string | undefined): NetworkError {
  return new NetworkError(
    "refused",
    `${peerId ?? "the peer"} at ${address.host.toString()} and we do not keep a connection: one side refused it`,
  );
}

export function gaveUp(cause?: unknown): NetworkError {
  return new NetworkError("timeout", "given up before the peer answered", { cause });
}

/** The reason nearest to the peer says most: it was somebody else, it refused, it did not answer, it may not be dialled. */
function mostTelling(failures: readonly NetworkError[]): NetworkError {
  for (const code of ["wrong_peer", "refused", "unreachable", "forbidden_address"] as const) {
    const found = failures.find((failure) => failure.code === code);
    if (found !== undefined) return found;
  }
  return failures[0] ?? new NetworkError("unreachable", "no address of the peer is known");
}

/** Settles with `promise`, or rejects when the signal comes first; leaves no listener behind. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw gaveUp();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(gaveUp());
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
