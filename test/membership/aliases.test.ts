import assert from "node:assert/strict";
import { encodeDidDocument } from "../../protocols/http/did-document.ts";
import type { Descriptor } from "../../protocols/descriptor/descriptor.ts";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";
import { Aliases, ALIAS_FETCHES_MAX, ALIAS_FRESH_MS, ALIAS_KEPT_MS, ALIAS_RETRY_MS } from "../../src/membership/aliases.ts";
import type { MembershipOptions } from "../../src/membership/options.ts";
import { MemberTable } from "../../src/membership/table.ts";
import type { Tasks } from "../../src/membership/tasks.ts";
import { WebError } from "../../src/ports/web.ts";
import { SILENT } from "../adapters/web/support.ts";

const REGISTRIES_MAX = 256;
/** Past any jitter. */
const LATE = 1.3;

function did(seed: number): string {
  return createRegistryIdentity(Buffer.alloc(32, seed), "r").did;
}

function documentOf(registry: string, domain: string): unknown {
  return JSON.parse(Buffer.from(encodeDidDocument({ did: registry, domain, urls: [], multiaddrs: [] })).toString());
}

/** The checker with a clock that a test sets, and fetches that it answers. */
class Domains {
  nowMs = 0;
  readonly fetched: string[] = [];
  readonly documents: Map<string, unknown> = new Map();
  readonly members: MemberTable = new MemberTable(
    REGISTRIES_MAX,
    () => false,
    () => undefined,
  );
  readonly aliases: Aliases;
  /** Fetches that are not answered yet. */
  readonly held: (() => void)[] = [];
  hold = false;
  #settled: Promise<unknown> = Promise.resolve();

  constructor(domain?: string) {
    const clock = { now: () => this.nowMs, monotonic: () => this.nowMs, after: () => () => undefined };
    const fetchDidDocument = async (name: string): Promise<unknown> => {
      this.fetched.push(name);
      if (this.hold) await new Promise<void>((resolve) => this.held.push(resolve));
      const document = this.documents.get(name);
      if (document === undefined) throw new WebError("unreachable", "nobody there");
      return document;
    };
    const options = { clock, log: SILENT, random: { unit: () => 0.5 }, identity: { did: did(200) }, domain, fetchDidDocument };
    const tasks: Tasks = {
      task: (run, then) => {
        const settled = run(new AbortController().signal).then(
          (value) => then({ ok: true, value }),
          (error: Error) => then({ ok: false, error }),
        );
        this.#settled = Promise.all([this.#settled, settled]);
      },
      later: () => undefined,
    };
    this.aliases = new Aliases(options as unknown as MembershipOptions, tasks, this.members);
  }

  claim(seed: number, domain: string, configured = false): string {
    const member = this.members.ensure(did(seed));
    assert.ok(member);
    member.descriptor = { domain } as Descriptor;
    member.configured = configured;
    return member.did;
  }

  /** Ticks at a time until nothing more is due. */
  async at(nowMs: number): Promise<void> {
    this.nowMs = nowMs;
    for (let before = -1; before !== this.fetched.length;) {
      before = this.fetched.length;
      this.aliases.tick();
      if (!this.hold) await this.#settled;
    }
  }

  verified(registry: string, domain: string): boolean | undefined {
    return this.aliases.view(registry, domain)?.verified;
  }
}

describe("domains that registries claim", () => {
  it("are verified for those to whom the domain's document points, and for nobody else", async () => {
    const domains = new Domains("own.example");
    const [owner, thief] = [domains.claim(1, "a.example"), domains.claim(2, "a.example")];
    assert.deepEqual(domains.aliases.view(owner, "a.example"), { name: "a.example", verified: false });
    assert.equal(domains.aliases.view(owner, undefined), undefined);
    domains.documents.set("a.example", documentOf(owner, "a.example"));
    domains.documents.set("own.example", documentOf(did(200), "own.example"));
    await domains.at(0);
    assert.deepEqual(domains.fetched, ["own.example", "a.example"]);
    assert.equal(domains.verified(owner, "a.example"), true);
    assert.equal(domains.verified(thief, "a.example"), false);
    assert.equal(domains.verified(did(200), "own.example"), true);
    await domains.at(ALIAS_FRESH_MS / 2);
    assert.equal(domains.fetched.length, 2);
    domains.documents.set("a.example", documentOf(thief, "a.example"));
    await domains.at(ALIAS_FRESH_MS * LATE);
    assert.deepEqual([domains.verified(owner, "a.example"), domains.verified(thief, "a.example")], [false, true]);
  });

  it("count as before while their server is away, for a while", async () => {
    const domains = new Domains();
    const owner = domains.claim(1, "a.example");
    domains.documents.set("a.example", documentOf(owner, "a.example"));
    await domains.at(0);
    domains.documents.clear();
    await domains.at(ALIAS_KEPT_MS / 2);
    assert.equal(domains.verified(owner, "a.example"), true);
    await domains.at(ALIAS_KEPT_MS * 2);
    assert.equal(domains.verified(owner, "a.example"), false);
    assert.equal(domains.fetched.length, 3);
  });

  it("T25 are not asked more often because strangers claim them, and known registries come first", async () => {
    const domains = new Domains();
    domains.hold = true;
    for (let i = 1; i <= 100; i++) domains.claim(i, i <= 50 ? "victim.example" : `d${i}.example`);
    const wanted = domains.claim(150, "wanted.example", true);
    await domains.at(0);
    assert.deepEqual(domains.fetched, ["wanted.example", "victim.example"]);
    assert.equal(domains.held.length, ALIAS_FETCHES_MAX);
    domains.documents.set("wanted.example", documentOf(wanted, "wanted.example"));
    for (const answer of domains.held.splice(0)) answer();
    domains.hold = false;
    await new Promise((resolve) => setImmediate(resolve));
    await domains.at(1);
    assert.equal(domains.verified(wanted, "wanted.example"), true);
    // Nobody answered there: newcomers who claim it as well do not bring the next try forward.
    const tries = (): number => domains.fetched.filter((name) => name === "victim.example").length;
    for (let i = 101; i < 120; i++) domains.claim(i, "victim.example");
    await domains.at(ALIAS_RETRY_MS / 2);
    assert.equal(tries(), 1);
    await domains.at(ALIAS_RETRY_MS * LATE);
    assert.equal(tries(), 2);
  });
});
