import assert from "node:assert/strict";
import { CATALOG_SYNC_PATH } from "../../../protocols/http/catalog-page.ts";
import { INTRODUCTION_PATH } from "../../../protocols/http/introduction-documents.ts";
import type { Received, Sending } from "../../facade/client.ts";
import { Foreign, sendShed } from "./foreign.ts";
import { sharedRegistry, type RegistryProcess } from "./process.ts";

/** More than any route takes. */
const OVERSIZED_BYTES = 6_000_000;
const NESTED_DEPTH = 20_000;

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly requestBody?: unknown }>>>>;
}

/** Bodies that are none, and what a problem document says of each. */
const MALFORMED: Readonly<Record<string, readonly [body: Uint8Array, codes: readonly string[]]>> = {
  oversized: [Buffer.alloc(OVERSIZED_BYTES, " "), ["too_large"]],
  "deeply nested": [Buffer.from("[".repeat(NESTED_DEPTH) + "]".repeat(NESTED_DEPTH)), ["too_deep", "too_large", "bad_request"]],
  "deeply nested objects": [
    Buffer.from('{"a":'.repeat(1_000) + "1" + "}".repeat(1_000)),
    ["too_deep", "too_large", "bad_request"],
  ],
  truncated: [Buffer.from('{"humanReadableId":"acme/x","na'), ["not_json", "bad_request"]],
  "not UTF-8": [
    Buffer.concat([Buffer.from('{"name":"'), Buffer.of(0xc3, 0x28, 0xff), Buffer.from('"}')]),
    ["not_utf8", "bad_request"],
  ],
  "a lone half of UTF-16": [Buffer.from('{"name":"\\ud800"}'), []],
  "duplicate keys": [Buffer.from('{"did":"a","did":"b"}'), ["duplicate_key", "bad_request"]],
  "a hostile prototype": [Buffer.from('{"__proto__":{"isOperator":true},"constructor":1}'), []],
  "another kind of value": [Buffer.from("[null,1,true]"), []],
  empty: [new Uint8Array(0), []],
};

describe("threats over HTTP: input", () => {
  let target: RegistryProcess;
  let peer: Foreign;
  let routes: readonly (readonly [method: string, path: string])[];

  before(async () => {
    target = await sharedRegistry();
    peer = await Foreign.create("peer");
    await peer.announce(target);
    const document = JSON.parse((await peer.ask(target, { path: "/openapi.json" })).body.toString()) as OpenApi;
    routes = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods)
        .map((method) => method.toUpperCase())
        .filter((method) => method === "POST" || method === "PUT")
        .map((method) => [method, path] as const),
    );
  });

  after(() => peer.close());

  /** A request that gets as far as its body: signed where a registry asks, with the token where an operator does. */
  function request(method: string, path: string, body: Uint8Array): Sending {
    if (path.startsWith("/federation/")) return peer.sign(target, { method, path, body });
    const headers = { authorization: `Bearer ${target.operatorToken}`, "content-type": "application/json" };
    return { method, path: path.replace("{did}", encodeURIComponent(peer.did)), body, headers };
  }

  const fresh = async (): Promise<void> => {
    peer = await Foreign.create("peer");
    await peer.announce(target);
  };

  function assertProblem({ status, headers, body, problem }: Received, codes: readonly string[], about: string): void {
    assert.ok(status >= 400 && status < 500, `${about}: ${status} ${body.toString().slice(0, 200)}`);
    assert.match(String(headers["content-type"]), /^application\/problem\+json/, about);
    const document = JSON.parse(body.toString()) as { status: number; type: string; title: string; detail: string };
    assert.equal(document.status, status, about);
    assert.ok(document.detail.length > 10 && document.title.length > 0, `${about}: ${body.toString()}`);
    assert.ok(body.length < 4_096, `${about}: an answer of ${body.length} bytes`);
    if (codes.length > 0) assert.ok(codes.includes(String(problem?.code)), `${about}: ${body.toString()}`);
  }

  it("T51 knows all routes that take a body", () => {
    const paths = routes.map(([method, path]) => `${method} ${path}`);
    for (const path of ["POST /federation/public", "POST /federation/sync/catalog", "POST /agents", "PUT /agents/{did}"])
      assert.ok(paths.includes(path), path);
    assert.ok(paths.some((path) => path.startsWith("POST /admin/")));
  });

  for (const [what, [body, codes]] of Object.entries(MALFORMED)) {
    it(`T51 ${what}: a clear problem document from every route, and the node stays up`, async () => {
      await fresh();
      const { pid } = await target.admin.process();
      for (const [method, path] of routes) {
        const about = `${method} ${path} (${what})`;
        // A stream without lines is none, nor are further members in what readers of a later version may send.
        if (isNoMistake(path, what)) continue;
        // A connection each: one that sends too much again and again may be told to calm down.
        const session = peer.connect(target);
        const answer = await sendShed(session, request(method, path, body));
        session.close();
        assertProblem(answer, codes, about);
      }
      assert.equal((await target.admin.process()).pid, pid);
      assert.equal((await peer.ask(target, { path: INTRODUCTION_PATH })).status, 200);
    });
  }

  it("T51 paths, queries and media types that are none get a clear problem document", async () => {
    const cases: readonly (readonly [Sending, number])[] = [
      [{ path: "/agents/%ff%fe" }, 400],
      [{ path: `/agents/${"a".repeat(3_000)}` }, 414],
      [{ path: "/agents?limit=1e9" }, 400],
      [{ path: "/agents?cursor=%00" }, 400],
      [{ path: "/agents?limit=1&limit=2" }, 400],
      [{ path: "/nothing/here" }, 404],
      [{ path: "/agents/..%2f..%2fregistry.key" }, 404],
      [{ method: "PATCH", path: "/agents" }, 405],
      [{ method: "POST", path: "/agents", body: "{}", headers: { "content-type": "text/plain" } }, 415],
    ];
    for (const [sending, status] of cases) {
      const answer = await peer.ask(target, sending);
      assert.equal(answer.status, status, `${sending.path.slice(0, 40)}: ${answer.body.toString()}`);
      assertProblem(answer, [], sending.path.slice(0, 40));
    }
  });
});

function isNoMistake(path: string, what: string): boolean {
  const isKnownMember = !["a lone half of UTF-16", "a hostile prototype"].includes(what);
  if (path === CATALOG_SYNC_PATH) return !isKnownMember;
  return path === "/admin/mutations" && what === "empty";
}
