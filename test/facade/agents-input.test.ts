import assert from "node:assert/strict";
import { mintDid } from "../../protocols/lib/did.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import { signAgent } from "../../protocols/record/signature.ts";
import { convertDocument } from "../../src/catalog/import/convert.ts";
import { World } from "../node/harness.ts";
import { Api, OPERATOR, Owner, pathOf } from "./agents-support.ts";

const SHORT = {
  ...{ humanReadableId: "acme/translator", name: "Translator", description: "Translates.", capabilities: ["translation/en-fr"] },
  endpoints: [{ url: "https://acme.example/translator" }],
};

describe("facade: what an agent may leave out", () => {
  it("is filled in by POST and PUT as by the command line", async () => {
    const world = new World("short");
    await world.run(async () => {
      const node = await world.start("home");
      const api = Api.over(world, node);
      const created = await api.ask("POST", "/agents", { body: SHORT, caller: OPERATOR });
      assert.equal(created.status, 201, created.detail);
      const { did, registry: _registry, epoch: _epoch, revision, hlc: _hlc, ...fields } = created.body as AgentRecord;
      assert.deepEqual([did, revision], [mintDid(node.identity.publicKey, "acme/translator"), 1]);
      const read = convertDocument(Buffer.from(JSON.stringify(SHORT)), undefined, node.did, assert.fail);
      const { original: _original, ...asImported } = read;
      assert.deepEqual(fields, asImported);
      const put = await api.ask("PUT", pathOf(did), { body: { humanReadableId: "acme/translator" }, caller: OPERATOR });
      const { name, description, capabilities, endpoints } = put.body as AgentRecord;
      assert.deepEqual([put.status, name, description, capabilities, endpoints], [200, "translator", "", [], []], put.detail);
      const wrong = await api.ask("PUT", pathOf(did), { body: { ...SHORT, tags: "one" }, caller: OPERATOR });
      assert.deepEqual([wrong.status, wrong.code], [400, "schema"]);
      assert.match(wrong.detail, /^tags: expected an array/);
    });
  });

  it("T31 is nothing where the agent signs: the error names what is missing, or the revision to sign", async () => {
    const world = new World("signed");
    await world.run(async () => {
      const node = await world.start("home");
      const api = Api.over(world, node);
      const owner = new Owner("mine");
      const path = pathOf(owner.did);
      const short = { ...SHORT, did: owner.did };
      const covered = { ...short, registry: node.did, revision: 1 } as never;
      const signature = signAgent(covered, (bytes) => owner.key.sign(bytes));
      const signed = await api.ask("POST", "/agents", { body: { ...short, agent_signature: signature } });
      assert.deepEqual([signed.status, signed.code], [400, "schema"]);
      assert.match(
        signed.detail,
        /tags: missing; endpoints\.0\.protocol: missing; version: missing; status: missing;.*nothing is/,
      );
      const unsigned = await api.ask("POST", "/agents", { body: short, caller: { signedBy: owner.did } });
      assert.deepEqual([unsigned.status, unsigned.code], [400, "agent_signature_missing"]);
      assert.deepEqual(unsigned.body, { next_revision: 1 });
      assert.equal((await api.ask("POST", "/agents", { body: owner.signed(node.did, 1) })).status, 201);
      assert.equal((await api.ask("PUT", path, { body: owner.signed(node.did, 2, { version: "2" }) })).status, 200);
      assert.equal((await api.ask("DELETE", path, { caller: { signedBy: owner.did } })).status, 204);
      const again = await api.ask("POST", "/agents", { body: owner.signed(node.did, 1) });
      assert.deepEqual([again.status, again.code, again.body], [401, "bad_signature", { next_revision: 3 }], "it counts on");
      assert.match(again.detail, /next revision, 3$/);
      assert.equal((await api.ask("POST", "/agents", { body: owner.signed(node.did, 3) })).status, 201);
    });
  });
});
