import { parse } from "node:querystring";
import { encodeHeadDocument, decodeHeadDocument } from "../../protocols/http/head-document.ts";
import { encodeHeadWait, headWaitSchema, readHeadWait, type HeadWait } from "../../protocols/http/head-wait.ts";
import {
  decodeHelloDocument,
  decodeIntroduction,
  encodeHelloDocument,
  encodeIntroduction,
  type Introduction,
} from "../../protocols/http/introduction-documents.ts";
import { createMemoryNetwork } from "../../src/adapters/memory/network.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { NodeError } from "../../src/api.ts";
import { CONFIG_DEFAULTS } from "../../src/config.ts";
import { HeldHeads } from "../../src/facade/held-heads.ts";
import type { RunningNode } from "../../src/federation-api.ts";
import { createNode, type NodeOptions } from "../../src/node.ts";
import { WebError, type Web, type WebPeer, type WebTarget } from "../../src/ports/web.ts";
import { TestNode, type Logged, type World } from "../node/harness.ts";

export interface WebStart {
  readonly peers?: readonly string[];
  /** Where libp2p can dial it; nowhere by default. */
  readonly listen?: readonly string[];
  readonly disk?: MemoryStore;
  readonly domain?: string;
  readonly fetchDidDocument?: NodeOptions["fetchDidDocument"];
  /** Without a web face, and without a client for others'. */
  readonly offWeb?: boolean;
  /** With a web face, but without a client for others'. */
  readonly isPassive?: boolean;
}

interface Face {
  readonly node: RunningNode;
  readonly did: string;
  readonly bundle: () => string;
  /** As the web face itself holds who waits. */
  readonly heads: HeldHeads;
}

/** Registries whose web faces answer one another without a network between: what travels passes through its documents. */
export class WebFederation {
  readonly world: World;
  /** Faces that do not answer. */
  readonly down: Set<string> = new Set();
  /** Faces that never say who they are, nor answer for their heads, until who asked gives up. */
  readonly stalled: Set<string> = new Set();
  /** Faces that never answer an announcement. */
  readonly mute: Set<string> = new Set();
  /** Faces that know nothing of waiting. */
  readonly impatient: Set<string> = new Set();
  /** URL → what ends the answers that wait there. */
  readonly #waiting = new Map<string, Set<() => void>>();
  /** URL → how each of its next answers is refused. */
  readonly refusals: Map<string, WebError> = new Map();
  /** `method url` of all requests, in order. */
  readonly asked: string[] = [];
  /** Trust bundles that are not the first: by URL. */
  readonly bundles: Map<string, string> = new Map();
  readonly #faces = new Map<string, Face>();

  constructor(world: World) {
    this.world = world;
  }

  async start(name: string, options: WebStart = {}): Promise<TestNode & { readonly node: RunningNode; readonly url: string }> {
    const { world } = this;
    const identity = world.identity(name);
    const url = `https://${name}.example`;
    const disk = options.disk ?? new MemoryStore();
    const network = createMemoryNetwork(world.hub, { peerId: identity.peerId, listen: options.listen ?? [] });
    const logged: Logged[] = [];
    const power = world.power(name);
    const bundle = (): string => this.bundles.get(url) ?? `bundle of ${name}`;
    const onWeb = options.offWeb !== true;
    const ports = world.ports(network, disk, logged, power);
    const node = await createNode(
      { ...ports, ...(onWeb && options.isPassive !== true && { web: this.#client(identity.did) }) },
      {
        ...CONFIG_DEFAULTS,
        ...{ identity, domain: options.domain ?? null, follow: "all", unsure: false, peers: options.peers ?? [] },
        ...(onWeb && { facade: () => ({ urls: [url], bundle: bundle(), localUrl: url }) }),
        ...(options.fetchDidDocument && { fetchDidDocument: options.fetchDidDocument }),
      },
    );
    if (onWeb) this.#faces.set(url, { node, did: identity.did, bundle, heads: new HeldHeads(node, ports.clock) });
    const started = new TestNode({ name, identity, network, disk, power, logged, options: {}, node });
    return Object.assign(started, { node, url });
  }

  /** From now on the face does not answer, and answers that wait there are cut. */
  cut(url: string): void {
    this.down.add(url);
    for (const end of this.#waiting.get(url) ?? []) end();
    this.#waiting.delete(url);
  }

  /** Requests that wait at the face now. */
  held(url: string): number {
    return this.#faces.get(url)?.heads.size ?? 0;
  }

  count(request: string): number {
    return this.asked.filter((one) => one === request).length;
  }

  #client(asker: string): Web {
    return {
      introduction: async (target, { signal }) => {
        const face = this.#face("introduction", target);
        if (this.stalled.has(target.url)) await aborted(signal);
        return decodeIntroduction(encodeIntroduction(await told(face.node.introduction())));
      },
      announce: async (peer, mine, { signal }) => {
        const face = this.#peer("announce", peer);
        if (this.mute.has(peer.url)) await aborted(signal);
        const theirs: Introduction = decodeIntroduction(encodeIntroduction(mine));
        return decodeHelloDocument(encodeHelloDocument(await told(face.node.announced(theirs))));
      },
      head: async (peer, { signal, wait }) => {
        const { heads } = this.#peer("head", peer);
        if (this.stalled.has(peer.url)) await aborted(signal);
        const asked = this.impatient.has(peer.url) ? undefined : wait && travelled(wait);
        const onEnding = (end: () => void): void => this.#addWait(peer.url, end, signal);
        const head = await heads.newest({ did: asker, isWanted: false }, asked, onEnding);
        if (this.down.has(peer.url) || signal.aborted) throw new WebError("unreachable", `${peer.url} is gone`);
        return head && decodeHeadDocument(encodeHeadDocument(head));
      },
      catalogPage: (peer, request) => told(this.#peer("page", peer).node.catalogPage(request, asker)),
      close: () => Promise.resolve(),
    };
  }

  #addWait(url: string, end: () => void, signal: AbortSignal): void {
    const waiting = this.#waiting.get(url) ?? new Set();
    this.#waiting.set(url, waiting.add(end));
    signal.addEventListener("abort", end, { once: true });
  }

  #face(method: string, { url }: WebTarget): Face {
    this.asked.push(`${method} ${url}`);
    const face = this.#faces.get(url);
    const refusal = this.refusals.get(url);
    if (face === undefined || this.down.has(url)) throw new WebError("unreachable", `${url} does not answer`);
    if (refusal !== undefined) throw refusal;
    return face;
  }

  #peer(method: string, peer: WebPeer): Face {
    const face = this.#face(method, peer);
    if (face.did !== peer.did || face.bundle() !== peer.bundle)
      throw new WebError("wrong_identity", `${peer.url} is not ${peer.did} by the bundle at hand`);
    return face;
  }
}

/** A registry's refusals as its web face tells them. */
async function told<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof NodeError)) throw error;
    throw new WebError(error.code === "paused" ? "throttled" : "refused", error.message, { cause: error, retryAfterMs: 1_000 });
  }
}

/** As a query brings it. */
function travelled(wait: HeadWait): HeadWait | undefined {
  return readHeadWait(headWaitSchema.parse({ ...parse(encodeHeadWait(wait).slice(1)) }));
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new WebError("timeout", "took too long")), { once: true });
  });
}
