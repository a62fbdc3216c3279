import assert from "node:assert/strict";
import type { ClientHttp2Session } from "node:http2";
import { encodePageRequest } from "../../../protocols/http/catalog-documents.ts";
import { CATALOG_SYNC_PATH, PAGE_CHANGES_MAX } from "../../../protocols/http/catalog-page.ts";
import { MUTATIONS_MAX, type Mutation } from "../../../src/api.ts";
import { send, type Received } from "../../facade/client.ts";
import { Foreign } from "./foreign.ts";
import { RegistryProcess } from "./process.ts";

const AGENTS = 3_000;
const SYBILS = 60;
/** Syncs that each begins at once, below what one registry may ask for at once. */
const SYNCS_OF_SYBIL = 8;
/** Registries that the operator named, and readers whom nobody knows. */
const NAMED = 3;
const READERS = 3;
/** What each of them asks for at least, one after the other; and on until the sybils have their answers. */
const REQUESTS_OF_HONEST = 5;
/** An honest client gives up when it has waited so long. */
const HONEST_MS_MAX = 5_000;
const SERVED_SHARE_MIN = 0.99;

/** The dearest page that anybody can ask for. */
const SYNC = encodePageRequest({ limit: PAGE_CHANGES_MAX, proofs: "change" });

describe("threats over HTTP: sybils that sync", () => {
  let target: RegistryProcess;
  let named: Foreign[];
  let sybils: Foreign[];
  let readers: ClientHttp2Session[];

  before(async function () {
    this.timeout(90_000);
    const many = (count: number, name: string): Promise<Foreign[]> =>
      Promise.all(Array.from({ length: count }, (_, i) => Foreign.create(`${name}-${i}`)));
    [named, sybils] = await Promise.all([many(NAMED, "named"), many(SYBILS, "sybil")]);
    target = await RegistryProcess.start({ follow: named.map(({ did }) => did) });
    for (let at = 0; at < AGENTS; at += MUTATIONS_MAX) {
      await target.admin.mutate(Array.from({ length: Math.min(MUTATIONS_MAX, AGENTS - at) }, (_, i) => listed(at + i)));
    }
    for (const one of [...named, ...sybils]) await one.announce(target);
    readers = (await many(READERS, "reader")).map((one) => one.connect(target, { present: null }));
  });

  after(async () => {
    for (const one of [...named, ...sybils]) one.close();
    for (const session of readers) session.destroy();
    await target.stop();
  });

  it("T25 60 sybils each begin dear syncs within their limits: at least 99 % of honest requests are served in time", async function () {
    this.timeout(90_000);
    const flood = sybils.flatMap((sybil) =>
      Array.from({ length: SYNCS_OF_SYBIL }, () =>
        sybil.askOnce(target, sybil.sign(target, { path: CATALOG_SYNC_PATH, body: SYNC })),
      ),
    );
    let isOver = false;
    const attack = Promise.all(flood).finally(() => (isOver = true));
    const failures: string[] = [];
    let asked = 0;
    const keepAsking = async (ask: () => Promise<Received>): Promise<void> => {
      for (let i = 0; i < REQUESTS_OF_HONEST || !isOver; i++) {
        const startedMs = performance.now();
        const { status, problem } = await ask();
        const tookMs = performance.now() - startedMs;
        asked += 1;
        if (status !== 200 || tookMs > HONEST_MS_MAX) failures.push(`${status} ${problem?.detail} after ${Math.ceil(tookMs)} ms`);
      }
    };
    await Promise.all([
      ...readers.map((session) => keepAsking(() => send(session, { path: "/agents?limit=10" }))),
      ...named.map((one) => keepAsking(() => one.askOnce(target, { path: "/agents?limit=10" }))),
    ]);
    const served = (await attack).filter(({ status }) => status === 200).length;
    assert.ok((asked - failures.length) / asked >= SERVED_SHARE_MIN, `${failures.length} of ${asked}: ${failures.join(", ")}`);
    assert.ok(served > 0, "sybils within their limits are served, too");
  });
});

function listed(i: number): Mutation {
  return {
    op: "put",
    agent: {
      ...{ humanReadableId: `acme/agent-${i}`, name: `agent ${i}`, description: "an agent" },
      ...{ capabilities: ["a"], tags: [], endpoints: [{ url: "https://agent.example", protocol: "a2a" }] },
      ...{ version: "1", status: "active" },
    },
  };
}
