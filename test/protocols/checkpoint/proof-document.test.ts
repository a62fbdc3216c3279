import assert from "node:assert/strict";
import { decodeCommit, encodeCommit } from "../../../protocols/checkpoint/commit.ts";
import { commitLeafHash, LogTree } from "../../../protocols/checkpoint/log.ts";
import type { MapEntry } from "../../../protocols/checkpoint/map.ts";
import { prove } from "../../../protocols/checkpoint/map-proof.ts";
import { ReferenceMap } from "../../../protocols/checkpoint/map-reader.ts";
import { checkpointOrigin, encodeCheckpoint } from "../../../protocols/checkpoint/note.ts";
import {
  buildProofDocument,
  PROOF_DOCUMENT_LENGTH_MAX,
  type ProofDocument,
  verifyProofDocument,
} from "../../../protocols/checkpoint/proof-document.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import { keyOf, valueOf } from "../../../protocols/lib/hash.ts";
import { encodeRecord } from "../../../protocols/record/codec.ts";
import type { AgentRecord } from "../../../protocols/record/record.ts";
import { signAgent } from "../../../protocols/record/signature.ts";
import { ACME, commit, OTHER, sampleEntries, vectors } from "./support.ts";

interface DocumentVector {
  readonly name: string;
  readonly text: string;
  readonly problems: readonly string[];
  readonly isLastCommit?: boolean;
}

const file = vectors<{ documents: DocumentVector[] }>(
  new URL("../../../protocols/checkpoint/vectors/proof-document.json", import.meta.url),
);

/** A self-certified agent among twenty others, two commits, the proof of the first or the last one. */
function realDocument(seq: 0 | 1): ProofDocument {
  const unsigned: AgentRecord = {
    did: OTHER.did,
    humanReadableId: "acme/translator",
    name: 'Ümlaut "quoted" \\ slash',
    description: "two\nlines",
    capabilities: ["translation", "translation/en-fr"],
    tags: [],
    endpoints: [{ url: "https://agents.example/a2a?x=1", protocol: "a2a" }],
    version: "1.0.0",
    status: "active",
    original: { media_type: "application/json", document: '{"a": [1, 2.50, "\\u00e9"]}' },
    registry: ACME.did,
    epoch: 3,
    revision: 12,
    hlc: "0199c8ed50000000",
    prev: "ab".repeat(32),
    reputation_score: 0.75,
  };
  const record = encodeRecord({ ...unsigned, agent_signature: signAgent(unsigned, OTHER.sign) });
  const key = keyOf(OTHER.did);
  const entries: MapEntry[] = [...sampleEntries(20), [key, valueOf(record)]];
  const map = new ReferenceMap(entries);
  const roots = { map: hex(map.root) };
  const commits = [0, 1].map((index) =>
    encodeCommit(commit({ agents: 21, epoch: 3, roots, seq: index, time: 1_760_000_000_000 + index })),
  );
  const log = new LogTree();
  for (const bytes of commits) log.append(commitLeafHash(bytes));
  const note = encodeCheckpoint({ origin: checkpointOrigin(ACME.did, 3), size: 2, root: log.root() }, ACME.sign);
  const { proof } = prove(map, key);
  return buildProofDocument({
    record,
    mapProof: proof,
    commit: commits[seq] as Uint8Array,
    logProof: log.inclusion(seq, 2),
    note: note + "— witness.example/log AQIDBAU=\n",
  });
}

describe("proof documents", () => {
  for (const { name, text, problems, isLastCommit } of file.documents) {
    it(name, () => {
      const report = verifyProofDocument(text);
      assert.deepEqual(
        report.problems.map((problem) => problem.split(":", 1)[0]),
        problems,
      );
      assert.equal(report.ok, problems.length === 0);
      if (isLastCommit !== undefined) assert.equal(report.isLastCommit, isLastCommit);
    });
  }

  it("holds as it is built, compact or indented, and says what it proves", () => {
    for (const seq of [0, 1] as const) {
      const document = realDocument(seq);
      for (const text of [JSON.stringify(document), JSON.stringify(document, null, 2) + "\n"]) {
        assert.deepEqual(verifyProofDocument(text), {
          ok: true,
          problems: [],
          did: OTHER.did,
          humanReadableId: "acme/translator",
          registry: ACME.did,
          revision: 12,
          isLastCommit: seq === 1,
          checkpoint: { origin: checkpointOrigin(ACME.did, 3), size: 2, time: 1_760_000_000_000 + seq },
        });
      }
    }
    assert.equal(decodeCommit(Buffer.from(JSON.stringify(realDocument(1).commit.entry))).seq, 1);
  });

  it("T15 refuses every document in which one character is another", () => {
    const text = JSON.stringify(realDocument(0), null, 2);
    assert.ok(verifyProofDocument(text).ok);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      const others = new Set(
        [code ^ 1, code ^ 0x20, 0x09, 0x0a, 0x20, 0x30, 0x2d, 0x78].filter(
          (other) => other !== code && (other > 0x1f || other === 0x09 || other === 0x0a) && other < 0x7f,
        ),
      );
      for (const other of others) {
        const changed = text.slice(0, i) + String.fromCharCode(other) + text.slice(i + 1);
        assert.ok(
          !verifyProofDocument(changed).ok,
          `position ${i}: ${JSON.stringify(text.slice(i - 20, i + 20))} to ${String.fromCharCode(other)}`,
        );
      }
    }
  }).timeout(60_000);

  it("T31 refuses a record that its agent never signed, although its tree proves it", () => {
    const document = realDocument(1);
    const record = { ...(document.record as object), agent_signature: undefined };
    const report = verifyProofDocument(JSON.stringify({ ...document, record }));
    assert.ok(report.problems.some((problem) => problem.startsWith("record: ")));
    assert.ok(report.problems.some((problem) => problem.startsWith("mapProof: ")));
  });

  it("T51 refuses what is too long, nests too deep, or carries names of every object", () => {
    assert.match(verifyProofDocument(" ".repeat(PROOF_DOCUMENT_LENGTH_MAX + 1)).problems[0] as string, /characters/);
    assert.match(verifyProofDocument('{"a":'.repeat(50_000)).problems[0] as string, /deep/);
    assert.match(verifyProofDocument('"\ud800"').problems[0] as string, /surrogate/);
    const text = JSON.stringify(realDocument(1));
    assert.ok(!verifyProofDocument(text.replace('{"did"', '{"__proto__":{},"did"')).ok);
    assert.ok(!verifyProofDocument(text.replace('"record":{', '"record":{"__proto__":{},')).ok);
    assert.ok(!verifyProofDocument(text.replace('"entry":{', '"entry":{"__proto__":{},')).ok);
    assert.ok(!verifyProofDocument(text.replace('"roots":{', '"roots":{"__proto__":"x",')).ok);
  });
});
