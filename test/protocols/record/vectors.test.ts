import assert from "node:assert/strict";
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { fromHex, hex } from "../../../protocols/lib/bytes.ts";
import { mintDid, ownerOfMinted } from "../../../protocols/lib/did.ts";
import { ProtocolError } from "../../../protocols/lib/errors.ts";
import { keyOf, valueOf } from "../../../protocols/lib/hash.ts";
import { admit, checkOwnership, decodeRecord, encodeRecord } from "../../../protocols/record/codec.ts";
import { recordJsonSchema } from "../../../protocols/record/schema.ts";
import { agentSignatureBytes, signAgent, type SignedFields } from "../../../protocols/record/signature.ts";

const FOLDER = new URL("../../../protocols/record/", import.meta.url);

function read(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, FOLDER), "utf8"));
}

interface Input {
  readonly name: string;
  readonly text?: string;
  readonly hex?: string;
  readonly repeat?: { readonly text: string; readonly times: number };
}
type Failing<T> = T & { readonly code: string };

const records = read("vectors/records.json") as {
  context: { home: string; epoch: number; now_ms: number };
  valid: (Input & { key: string; value: string })[];
  invalid: Failing<Input>[];
  inadmissible: Failing<Input & { key: string }>[];
};
const minted = read("vectors/minted-dids.json") as {
  registry_public_key: string;
  registry: string;
  minted: { human_readable_id: string; did: string }[];
  not_mintable: Failing<{ name: string; human_readable_id: string }>[];
  malformed: Failing<{ name: string; did: string }>[];
};
const signature = read("vectors/agent-signature.json") as {
  agent_secret_key: string;
  record: SignedFields;
  signed_bytes_hex: string;
  signature_hex: string;
  agent_signature: string;
};

function bytesOf(input: Input): Uint8Array {
  if (input.hex !== undefined) return Buffer.from(input.hex, "hex");
  return Buffer.from(input.text ?? input.repeat?.text.repeat(input.repeat.times) ?? "");
}

function fails(code: string, run: () => unknown): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof ProtocolError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

const context = { home: records.context.home, epoch: records.context.epoch, nowMs: records.context.now_ms };

describe("record vectors", () => {
  for (const vector of records.valid) {
    it(`takes ${vector.name}`, () => {
      const bytes = bytesOf(vector);
      const record = admit(bytes, fromHex(vector.key, 32), context);
      assert.deepEqual(record, JSON.parse(vector.text ?? ""));
      assert.deepEqual(Buffer.from(encodeRecord(record)), bytes);
      assert.equal(hex(keyOf(record.did)), vector.key);
      assert.equal(hex(valueOf(bytes)), vector.value);
    });
  }

  for (const vector of records.invalid) {
    it(`refuses ${vector.name}: ${vector.code}`, () => {
      fails(vector.code, () => decodeRecord(bytesOf(vector)));
      fails(vector.code, () => admit(bytesOf(vector), new Uint8Array(32), context));
    });
  }

  for (const vector of records.inadmissible) {
    it(`does not admit ${vector.name}: ${vector.code}`, () => {
      decodeRecord(bytesOf(vector));
      fails(vector.code, () => admit(bytesOf(vector), fromHex(vector.key, 32), context));
    });
  }

  it("T51 no cut of a record is taken, and none with a changed byte is taken for the same record", () => {
    for (const vector of records.valid) {
      const bytes = bytesOf(vector);
      for (let end = 0; end < bytes.length; end++) assert.throws(() => decodeRecord(bytes.subarray(0, end)), ProtocolError);
      for (let at = 0; at < bytes.length; at++) {
        const changed = Uint8Array.from(bytes);
        changed[at] = (changed[at] as number) ^ 1;
        try {
          assert.notDeepEqual(decodeRecord(changed), JSON.parse(vector.text ?? ""));
        } catch (error) {
          assert.ok(error instanceof ProtocolError, String(error));
        }
      }
    }
  });

  it("names every wrong field at once", () => {
    const text = (records.valid[0]?.text ?? "")
      .replace('"active"', '"gone"')
      .replace('"epoch":2', '"epoch":-1')
      .replace("1.0.0", "x".repeat(65));
    assert.throws(() => decodeRecord(Buffer.from(text)), /version: .*; status: .*; epoch: /);
  });
});

describe("minted DID vectors", () => {
  const key = fromHex(minted.registry_public_key, 32);

  for (const { human_readable_id: id, did } of minted.minted) {
    it(`mints ${did.slice(-40)}`, () => {
      assert.equal(mintDid(key, id), did);
      assert.deepEqual(Buffer.from(ownerOfMinted(did) ?? []), Buffer.from(key));
      checkOwnership(did, minted.registry);
    });
  }
  for (const { name, human_readable_id: id, code } of minted.not_mintable) {
    it(`mints nothing for ${name}`, () => fails(code, () => mintDid(key, id)));
  }
  for (const { name, did, code } of minted.malformed) {
    it(`T18 refuses a minted DID with ${name}`, () => {
      fails(code, () => ownerOfMinted(did));
      fails(code, () => checkOwnership(did, minted.registry));
    });
  }
});

describe("agent signature vector", () => {
  it("covers the given bytes and gives the given signature", () => {
    const pkcs8 = Buffer.concat([
      Buffer.from("302e020100300506032b657004220420", "hex"),
      fromHex(signature.agent_secret_key, 32),
    ]);
    const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
    assert.equal(hex(agentSignatureBytes(signature.record)), signature.signed_bytes_hex);
    assert.equal(
      signAgent(signature.record, (bytes) => sign(null, bytes, key)),
      signature.agent_signature,
    );
    assert.equal(Buffer.from(signature.agent_signature, "base64").toString("hex"), signature.signature_hex);
  });
});

describe("schema.json", () => {
  it("is what the rules give; if not, run protocols/record/write-schema.ts", () => {
    assert.deepEqual(read("schema.json"), recordJsonSchema());
  });
});
