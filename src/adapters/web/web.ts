import { X509Certificate } from "node:crypto";
import { Client } from "undici";
import type { Hello } from "../../../protocols/announce/hello.ts";
import type { SignedHead } from "../../../protocols/checkpoint/head.ts";
import { openDescriptor } from "../../../protocols/descriptor/codec.ts";
import { decodePage, encodePageRequest, pageBytesMax } from "../../../protocols/http/catalog-documents.ts";
import { CATALOG_SYNC_PATH, type CatalogPage, type PageRefusal, type PageRequest } from "../../../protocols/http/catalog-page.ts";
import { CHECKPOINT_PATH, decodeHeadDocument, HEAD_DOCUMENT_BYTES_MAX } from "../../../protocols/http/head-document.ts";
import { encodeHeadWait } from "../../../protocols/http/head-wait.ts";
import {
  decodeHelloDocument,
  decodeIntroduction,
  encodeIntroduction,
  HELLO_DOCUMENT_BYTES_MAX,
  INTRODUCTION_BYTES_MAX,
  INTRODUCTION_PATH,
  type Introduction,
} from "../../../protocols/http/introduction-documents.ts";
import { pageRefusalOf } from "../../../protocols/http/problem.ts";
import { AbortAfter } from "../../ports/abort-after.ts";
import type { Random } from "../../ports/random.ts";
import { WebError, type Web, type WebPeer, type WebTarget } from "../../ports/web.ts";
import { createNames, type Names } from "../names/names.ts";
import { Connections, proved, type ConnectionsOptions, type VerifyPeer } from "./connections.ts";
import { createConnector } from "./connector.ts";
import { asWebError } from "./errors.ts";
import { exchange, type ExchangeAnswer } from "./exchange.ts";
import { checkUrl, guardOf } from "./guard.ts";
import { refusalOf } from "./refusal.ts";
import { SignedRequests, targetOf } from "./signed-requests.ts";

/** Time for one request with its whole answer, beside what the peer was asked to wait. */
export const REQUEST_TIMEOUT_MS = 10_000;
/** Time for a page of a catalogue, which may have several megabytes. */
export const PAGE_TIMEOUT_MS = 60_000;

export interface WebOptions extends ConnectionsOptions {
  /** Our own. */
  readonly did: string;
  /** Ed25519 by our key. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly random: Random;
  /** Whether URLs that others named may lead to addresses that are not public. */
  readonly allowPrivateAddresses: boolean;
  /** Shared with whatever else dials; its own by default. */
  readonly names?: Names;
  /** Authorities of the public web, PEM; the system's by default. */
  readonly roots?: readonly string[];
}

/** The web faces of other registries, over undici. */
export function createWeb(options: WebOptions): Web {
  const withNames = { ...options, names: options.names ?? createNames(options) };
  const connections = new Connections(options);
  const requests = new SignedRequests(withNames, connections);
  return {
    introduction: (target, { signal }) => introduction(withNames, target, signal),
    announce: async (peer, mine, { signal }): Promise<Hello> => {
      const body = encodeIntroduction(mine);
      const request = { method: "POST", path: INTRODUCTION_PATH, body, bytesMax: HELLO_DOCUMENT_BYTES_MAX } as const;
      return decodeHelloDocument(succeeded(peer, await requests.send(peer, request, signal, REQUEST_TIMEOUT_MS)));
    },
    head: async (peer, { signal, wait }): Promise<SignedHead | undefined> => {
      const path = CHECKPOINT_PATH + (wait === undefined ? "" : encodeHeadWait(wait));
      const waitMs = (wait?.seconds ?? 0) * 1_000;
      const request = { method: "GET", path, bytesMax: HEAD_DOCUMENT_BYTES_MAX, waitMs } as const;
      const answer = await requests.send(peer, request, signal, REQUEST_TIMEOUT_MS);
      if (refusalOf(answer)?.problem?.code === "empty") return undefined;
      return decodeHeadDocument(succeeded(peer, answer));
    },
    catalogPage: (peer, request, { signal }) => catalogPage(requests, peer, request, signal),
    close: () => connections.close(),
  };
}

async function catalogPage(
  requests: SignedRequests,
  peer: WebPeer,
  asked: PageRequest,
  signal: AbortSignal,
): Promise<CatalogPage | PageRefusal> {
  const body = encodePageRequest(asked);
  const request = { method: "POST", path: CATALOG_SYNC_PATH, body, bytesMax: pageBytesMax(asked.proofs) } as const;
  const answer = await requests.send(peer, request, signal, PAGE_TIMEOUT_MS);
  const problem = refusalOf(answer)?.problem;
  const refusal = problem && pageRefusalOf(problem);
  return refusal ?? decodePage(succeeded(peer, answer));
}

/** The body of an answer that is a success. @throws WebError `throttled`, `refused` */
function succeeded({ url }: WebTarget, answer: ExchangeAnswer): Uint8Array {
  const refusal = refusalOf(answer);
  if (refusal === undefined) return answer.body;
  throw refusal.error(url);
}

/**
 * Asks a stranger who it is. Its certificate proves nothing before its descriptor has been read: then it must be one of the
 * registry that the descriptor names, or one of the public web for the host that was asked.
 */
async function introduction(
  options: WebOptions & { readonly names: Names },
  target: WebTarget,
  signal: AbortSignal,
): Promise<Introduction> {
  const { clock, allowPrivateAddresses, names, roots, verifyPeer } = options;
  const guard = guardOf(target.named, allowPrivateAddresses, names);
  const url = checkUrl(target.url, guard);
  let server: Server | undefined;
  const connector = createConnector({
    ...{ url, guard, clock },
    tls: () => ({ minVersion: "TLSv1.2", ...(roots && { ca: [...roots] }) }),
    accept: ({ authorized, authorizationError }, chain) => {
      server = { chain, problem: authorized ? undefined : String(authorizationError) };
    },
  });
  const client = new Client(url.origin, { connect: connector });
  using deadline = new AbortAfter(clock, REQUEST_TIMEOUT_MS, signal);
  try {
    const request = {
      ...({ method: "GET", target: targetOf(url, INTRODUCTION_PATH), bytesMax: INTRODUCTION_BYTES_MAX } as const),
      headers: { accept: "application/json" },
    };
    const answer = await exchange(client, request, deadline.signal);
    const introduced = decodeIntroduction(succeeded(target, answer));
    checkServer(server, openDescriptor(introduced.descriptor, clock.now()), url, verifyPeer);
    return introduced;
  } catch (error) {
    throw asWebError(error, url.host);
  } finally {
    await client.destroy();
  }
}

interface Server {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** Why the public web does not vouch for it; `undefined` when it does. */
  readonly problem: string | undefined;
}

/** @throws WebError `wrong_identity` */
function checkServer(
  server: Server | undefined,
  { did, bundle }: { readonly did: string; readonly bundle?: string },
  url: URL,
  verifyPeer: VerifyPeer,
): void {
  const [leaf] = server?.chain ?? [];
  if (server === undefined || leaf === undefined) throw new WebError("wrong_identity", `${url.host} showed no certificate`);
  if (isSvid(leaf)) {
    if (bundle === undefined) throw new WebError("wrong_identity", `the descriptor of ${did} at ${url.host} has no trust bundle`);
    proved(() => verifyPeer(server.chain, bundle, did), url, did);
  } else if (server.problem !== undefined) {
    const message = `the certificate of ${url.host} is neither one of ${did} nor holds on the public web: ${server.problem}`;
    throw new WebError("wrong_identity", message);
  }
}

function isSvid(leaf: Uint8Array): boolean {
  return new X509Certificate(leaf).subjectAltName?.includes("URI:spiffe://") === true;
}
