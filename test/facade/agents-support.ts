import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { signAgent } from "../../protocols/record/signature.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { CONFIG_DEFAULTS } from "../../src/config.ts";
import { adminRoutes } from "../../src/facade/admin/routes.ts";
import { agentRoutes, type AgentLimits } from "../../src/facade/agents/routes.ts";
import type { Caller, CallerSvid } from "../../src/facade/caller.ts";
import type { FacadeContext } from "../../src/facade/context.ts";
import { ProblemError } from "../../src/facade/problem.ts";
import { problemOf } from "../../src/facade/refusals.ts";
import type { Answer, Route } from "../../src/facade/route.ts";
import type { RunningNode } from "../../src/federation-api.ts";
import type { RegistryIdentity } from "../../src/identity/registry-identity.ts";
import { createKeyMaterial, type KeyMaterial } from "../../src/identity/key-material.ts";
import type { AgentInput } from "../../src/api.ts";
import type { Credentials } from "../../src/ports/credentials.ts";
import type { Store } from "../../src/ports/store.ts";
import { silentLog } from "../admin/map-node.ts";
import { describedBy } from "./described.ts";
import { agent, type TestNode, type World } from "../node/harness.ts";

export const URL_OF_REGISTRY = "https://registry.example:8443";

/** What was proved of a caller; nothing by default. */
export interface Proofs {
  readonly svid?: CallerSvid;
  readonly signedBy?: string;
  readonly operator?: boolean;
  readonly address?: string;
}

export const OPERATOR: Proofs = { operator: true };

export interface Asking {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly rawBody?: Uint8Array;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly caller?: Proofs;
}

/** What came back, whether an answer or a problem. */
export interface Got {
  readonly status: number;
  readonly code: string | undefined;
  readonly detail: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly text: string;
}

/** The routes of one node, called as the server calls them once a request was admitted. */
export class Api {
  readonly context: FacadeContext;
  readonly routes: readonly Route[];

  constructor(context: FacadeContext, requestStop?: () => void, limits: AgentLimits = CONFIG_DEFAULTS) {
    this.context = context;
    this.routes = [...agentRoutes(context, limits), ...adminRoutes(context, requestStop)];
  }

  static over(
    world: World,
    { node, identity }: TestNode,
    more: Partial<FacadeContext> = {},
    limits: AgentLimits = CONFIG_DEFAULTS,
  ): Api {
    const clock = {
      now: () => Math.floor(WALL_MS + world.simulation.nowMs),
      monotonic: () => world.simulation.nowMs,
      after: () => () => {},
    };
    return new Api({ ...contextOf(node as RunningNode, identity), clock, ...more }, undefined, limits);
  }

  /** Holds each answer against the description of the interface. @param path without a query, percent-encoded */
  async ask(method: Route["method"], path: string, asking: Asking = {}): Promise<Got> {
    const answer = await this.#ask(method, path, asking);
    const { status, headers, text } = answer;
    describedBy(this.routes).check({ method, path, status, headers: new Map(Object.entries(headers)), body: Buffer.from(text) });
    return answer;
  }

  async #ask(method: Route["method"], path: string, asking: Asking): Promise<Got> {
    const { headers = {}, caller = {} } = asking;
    const rawBody = asking.rawBody ?? (asking.body === undefined ? new Uint8Array(0) : Buffer.from(JSON.stringify(asking.body)));
    try {
      const [route, params] = this.#find(method, path);
      const answer = await route.handle({
        ...{ params: fit(route.params, params), query: fit(route.query, asking.query ?? {}) },
        ...{
          body: route.body && fit(route.body, asking.body),
          rawBody,
          headers: { host: "registry.example:8443", ...claimOf(caller), ...headers },
        },
        ...{ caller: callerOf(caller), target: path, onEnding: () => undefined },
      });
      return got(answer);
    } catch (error) {
      const problem = problemOf(error);
      if (problem === undefined) throw error;
      const { status, code, message, headers: sent, extra } = problem;
      return { status, code, detail: message, headers: sent, body: extra, text: "" };
    }
  }

  #find(method: string, path: string): [Route, Record<string, string>] {
    for (const route of this.routes) {
      const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
      const values = new RegExp(`^${route.path.replace(/\{\w+\}/g, "([^/]+)")}$`).exec(path);
      if (route.method !== method || values === null) continue;
      return [route, Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(values[i + 1] as string)]))];
    }
    return assert.fail(`no route ${method} ${path}`);
  }
}

export const WALL_MS = 1_893_456_000_000;

export function contextOf(node: RunningNode, identity: RegistryIdentity, store: Store = new MemoryStore()): FacadeContext {
  const clock = { now: () => WALL_MS, monotonic: () => 0, after: () => () => {} };
  return {
    ...{
      node,
      identity,
      clock,
      random: systemRandom(),
      log: silentLog,
      pressure: { current: () => 0, eventLoop: () => 0 },
      store,
    },
    credentials: { bundle: () => "{}" } as unknown as Credentials,
    ...{ domain: null, urls: () => [URL_OF_REGISTRY], operatorToken: "token" },
    requestsPerAddressPerMinuteMax: CONFIG_DEFAULTS.requestsPerAddressPerMinuteMax,
  };
}

/** What a signed request says of its sender. */
function claimOf({ signedBy }: Proofs): Record<string, string> {
  return signedBy === undefined ? {} : { "x-registry-id": signedBy };
}

function callerOf({ svid, signedBy, operator = false, address = "192.0.2.1" }: Proofs): Caller {
  return {
    address,
    registry: undefined,
    svid: () => Promise.resolve(svid),
    signedBy: () => Promise.resolve(signedBy),
    isOperator: () => operator,
    countAsRequest: () => {},
  };
}

function fit(schema: Route["body"], value: unknown): unknown {
  if (schema === undefined) return value;
  const result = schema.safeParse(value);
  if (!result.success) throw new ProblemError(400, "invalid", result.error.message);
  return result.data;
}

function got({ status, headers = {}, body }: Answer): Got {
  const text = body === undefined ? "" : body instanceof Uint8Array ? Buffer.from(body).toString() : JSON.stringify(body);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  return { status, code: undefined, detail: "", headers, body: value, text };
}

/** An agent that holds its own key. */
export class Owner {
  readonly key: KeyMaterial = createKeyMaterial(randomBytes(32));
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  get did(): string {
    return this.key.did;
  }

  /** The agent as it is handed in, signed for `registry` at `revision`. */
  signed(registry: string, revision: number, more: Partial<AgentInput> = {}): AgentInput {
    const fields = { ...agent(this.name, more), did: this.did };
    return { ...fields, agent_signature: signAgent({ ...fields, registry, revision }, (bytes) => this.key.sign(bytes)) };
  }
}

export function svidOf(identity: RegistryIdentity, path: string): CallerSvid {
  return { spiffeId: `spiffe://${identity.trustDomain}${path}`, did: identity.did, path };
}

export const pathOf = (did: string): string => `/agents/${encodeURIComponent(did)}`;
