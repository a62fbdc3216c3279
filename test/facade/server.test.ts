import assert from "node:assert/strict";
import { verifyResponse } from "../../protocols/http/signed-response.ts";
import { fromBase64 } from "../../protocols/lib/bytes.ts";
import { send, ServedRegistry, signed, TestRegistry } from "./harness.ts";

describe("the facade: admission of registries", () => {
  let server: ServedRegistry;
  let peer: TestRegistry;

  beforeEach(async () => {
    peer = await TestRegistry.create("peer");
    server = await ServedRegistry.start();
    server.node.knows(peer);
  });
  afterEach(() => server.stop());

  const sync = "/federation/sync/catalog";

  it("serves a signed request and signs the answer", async () => {
    const request = signed(peer, server, { path: sync });
    const answer = await send(server.connect(peer), request);
    assert.equal(answer.problem?.code, "empty", server.logged.join("\n"));
    assert.equal(answer.status, 404);
    const requestSignature = fromBase64(request.headers["x-registry-signature"] as string);
    verifyResponse({ status: 404, body: answer.body, requestSignature }, answer.rawHeaders, server.registry.did);
    assert.match(String(answer.headers["ratelimit"]), /^"registry";r=\d+;t=\d+$/);
  });
});
