import assert from "node:assert/strict";
import { encodePageRequest, PAGE_REQUEST_BYTES_MAX } from "../../protocols/http/catalog-documents.ts";
import { CATALOG_SYNC_PATH, PAGE_CHANGES_MAX, type CatalogPage, type PageRequest } from "../../protocols/http/catalog-page.ts";
import { verifyCatalogPage } from "../../protocols/http/verify-page.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import { createWeb } from "../../src/adapters/web/web.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { MUTATIONS_MAX } from "../../src/api.ts";
import { CONFIG_DEFAULTS } from "../../src/config.ts";
import { checkSvid } from "../../src/identity/svid.ts";
import { CONTINUATIONS_PER_PEER_PER_MINUTE_MAX } from "../../src/federation.ts";
import { CHANGE_PROOF_COST, OTHER_COST_PER_MINUTE } from "../../src/facade/page-budget.ts";
import { PAGES_WAITING_PER_REGISTRY_MAX } from "../../src/facade/page-turns.ts";
import type { Web, WebPeer } from "../../src/ports/web.ts";
import { silentLog } from "../admin/map-node.ts";
import { agent, names } from "../node/harness.ts";
import { http2To, send, signedBy, type Received } from "./client.ts";
import { clock, TestRegistry } from "./harness.ts";
import { serveNode, type ServedNode } from "./served-node.ts";

const AGENTS = 10_000;
const LIMIT = 100;
/** How many come at once in a flood. */
const AT_ONCE = 1 + PAGES_WAITING_PER_REGISTRY_MAX;

/** Another registry, which has introduced itself. */
class Follower {
  readonly #home: ServedNode;
  readonly #self: TestRegistry;
  readonly #web: Web;

  private constructor(home: ServedNode, self: TestRegistry) {
    this.#home = home;
    this.#self = self;
    this.#web = createWeb({
      ...{ clock, random: systemRandom(), log: silentLog, credentials: self.credentials, did: self.did },
      sign: (bytes) => self.identity.sign(bytes),
      verifyPeer: (chain, bundle, did) => checkSvid(chain, { did, bundle }, clock.now()),
      allowPrivateAddresses: true,
    });
  }

  static async introduced(home: ServedNode, name: string): Promise<Follower> {
    const self = await TestRegistry.create(name);
    const follower = new Follower(home, self);
    await follower.#web.announce(follower.#peer, { descriptor: self.descriptor() }, NEVER);
    return follower;
  }

  get #peer(): WebPeer {
    const { url, node, credentials } = this.#home;
    return { url, named: true, did: node.identity().did, bundle: credentials.bundle() };
  }

  async page(request: PageRequest): Promise<CatalogPage> {
    const page = await this.#web.catalogPage(this.#peer, request, NEVER);
    return typeof page === "string" ? assert.fail(page) : page;
  }

  /** So many requests for one page, as an answer with its headers each. */
  async flood(request: PageRequest | Uint8Array, times: number, atOnce = AT_ONCE): Promise<Received[]> {
    const { url, node } = this.#home;
    const receiver = { authority: new URL(url).host, did: node.identity().did };
    const session = http2To(Number(new URL(url).port), { present: this.#self.credentials.svid() });
    const body = request instanceof Uint8Array ? request : encodePageRequest(request);
    const answers: Received[] = [];
    while (answers.length < times && !answers.some(({ status }) => status === 429)) {
      const some = Array.from({ length: atOnce }, () =>
        send(session, signedBy(this.#self.identity, receiver, { path: CATALOG_SYNC_PATH, body })),
      );
      answers.push(...(await Promise.all(some)));
    }
    session.destroy();
    return answers;
  }

  close(): Promise<void> {
    return this.#web.close();
  }
}

const NEVER = { signal: new AbortController().signal };

describe("facade: budgets of registries", () => {
  let home: ServedNode;
  let followers: Follower[];

  before(async function () {
    this.timeout(60_000);
    home = await serveNode();
    const all = names("agent", AGENTS);
    for (let at = 0; at < all.length; at += MUTATIONS_MAX)
      await home.node.mutate(all.slice(at, at + MUTATIONS_MAX).map((name) => ({ op: "put", agent: agent(name) })));
  });
  beforeEach(() => {
    followers = [];
  });
  afterEach(() => Promise.all(followers.map((follower) => follower.close())));
  after(() => home.stop());

  async function introduced(name: string): Promise<Follower> {
    const follower = await Follower.introduced(home, name);
    followers.push(follower);
    return follower;
  }

  it("counts a sync of many pages as one request", async function () {
    this.timeout(60_000);
    const follower = await introduced("follower");
    const { did } = home.node.identity();
    let [agents, pages, cursor, after]: [number, number, string | undefined, Uint8Array | undefined] = [
      0,
      0,
      undefined,
      undefined,
    ];
    do {
      const request: PageRequest = { limit: LIMIT, proofs: "multi", ...(cursor !== undefined && { cursor }) };
      const page: CatalogPage = await follower.page(request);
      const verified = verifyCatalogPage(page, { request, did, ...(after !== undefined && { after }) });
      agents += page.changes.length;
      pages += 1;
      [cursor, after] = [page.nextCursor, verified.lastKey];
    } while (cursor !== undefined);
    assert.deepEqual([agents, pages], [AGENTS, AGENTS / LIMIT]);
    assert.ok(pages > CONFIG_DEFAULTS.requestsPerPeerPerMinuteMax / 2, "more than would be served at once as requests");
  });

  it("T25 a flood of later pages meets a limit of its own, and leaves the requests alone", async function () {
    this.timeout(60_000);
    const follower = await introduced("flooder");
    const request: PageRequest = { limit: 1, proofs: "none" };
    const { nextCursor: cursor = assert.fail("no second page") } = await follower.page(request);
    const answers = await follower.flood({ ...request, cursor }, 2 * CONTINUATIONS_PER_PEER_PER_MINUTE_MAX);
    const served = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 429);
    assert.equal(served.length + refused.length, answers.length);
    assert.ok(refused.length > 0 && served.length > CONFIG_DEFAULTS.requestsPerPeerPerMinuteMax, `${served.length} served`);
    const [first] = refused;
    assert.equal(first?.problem?.code, "too_many_requests");
    assert.match(String(first.headers["ratelimit-policy"]), /^"continuation";q=1200;w=60$/);
    assert.equal((await follower.page(request)).changes.length, 1);
  });

  it("T25 a flood of the dearest pages is held by what they cost, and others are served meanwhile", async function () {
    this.timeout(60_000);
    const [flooder, follower] = [await introduced("dear"), await introduced("honest")];
    const request: PageRequest = { limit: PAGE_CHANGES_MAX, proofs: "change" };
    const { nextCursor: cursor = assert.fail("no second page") } = await flooder.page(request);
    const beganMs = clock.monotonic();
    const flood = flooder.flood({ ...request, cursor }, CONTINUATIONS_PER_PEER_PER_MINUTE_MAX);
    const honest = await follower.page({ limit: PAGE_CHANGES_MAX, proofs: "multi" });
    assert.equal(honest.changes.length, PAGE_CHANGES_MAX);
    const answers = await flood;
    const pages = answers.filter(({ status }) => status === 200);
    const cost = pages.reduce((sum, { body }) => sum + body.length + PAGE_CHANGES_MAX * CHANGE_PROOF_COST, 0);
    const minutes = (clock.monotonic() - beganMs) / 60_000 + 1 / 6;
    assert.ok(cost <= OTHER_COST_PER_MINUTE * minutes + cost / pages.length, `${pages.length} pages of ${cost}`);
    const refused = answers.find(({ status }) => status === 429);
    assert.ok(Number(refused?.headers["retry-after"]) >= 1);
    assert.match(refused?.problem?.detail ?? "", /pages/);
  });

  it("T25 a cursor that was forged, or taken from another registry or another walk, counts as a request", async () => {
    const [follower, other] = [await introduced("forger"), await introduced("other")];
    const request: PageRequest = { limit: 1, proofs: "none" };
    const { nextCursor: mine = assert.fail("no second page") } = await follower.page(request);
    const { nextCursor: theirs = assert.fail("no second page") } = await other.page(request);
    const content = Buffer.from(mine.slice(0, mine.indexOf(".")), "base64url");
    const forged = content.fill(0, content.length - HASH_BYTES).toString("base64url");
    const cursors = [forged, mine.replace(/.*(?=\.)/, forged), theirs, mine.slice(0, -1), mine.slice(0, mine.indexOf("."))];
    const requests: PageRequest[] = cursors.map((cursor) => ({ ...request, cursor }));
    for (const each of [...requests, { ...request, cursor: mine, lastSyncMs: clock.now() }]) {
      const [answer] = await follower.flood(each, 1, 1);
      assert.deepEqual(
        [answer?.status, answer?.problem?.code, answer?.headers["ratelimit-policy"]],
        [400, "bad_cursor", `"registry";q=100;w=60`],
      );
    }
    assert.equal((await follower.page({ ...request, cursor: mine })).changes.length, 1);
  });

  it("T25 a flood of cursors that lead nowhere is held as one of requests", async () => {
    const follower = await introduced("liar");
    const request: PageRequest = { limit: 1, proofs: "none", cursor: "of-no-walk" };
    const answers = await follower.flood(request, CONFIG_DEFAULTS.requestsPerPeerPerMinuteMax);
    const bad = answers.filter(({ problem }) => problem?.code === "bad_cursor");
    assert.ok(bad.length > 0 && bad.length < CONFIG_DEFAULTS.requestsPerPeerPerMinuteMax, `${bad.length} answered`);
    assert.deepEqual(
      [
        ...new Set(answers.map(({ status, problem, headers }) => `${status} ${problem?.code} ${headers["ratelimit-policy"]}`)),
      ].toSorted(),
      [`400 bad_cursor "registry";q=100;w=60`, `429 too_many_requests "registry";q=100;w=60`],
    );
  });

  it("T51 counts a request whose body is too large to say what it is", async () => {
    const follower = await introduced("large");
    const answers = await follower.flood(Buffer.alloc(PAGE_REQUEST_BYTES_MAX + 1), CONFIG_DEFAULTS.requestsPerPeerPerMinuteMax);
    assert.deepEqual(
      [...new Set(answers.map(({ status }) => status))].toSorted((a, b) => a - b),
      [413, 429],
    );
  });
});
