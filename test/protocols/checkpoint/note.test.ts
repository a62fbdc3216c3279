import assert from "node:assert/strict";
import {
  checkpointOrigin,
  contradicts,
  encodeCheckpoint,
  EQUIVOCATION_BYTES_MAX,
  openCheckpoint,
  verifyEquivocation,
} from "../../../protocols/checkpoint/note.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import type { ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { sha256 } from "../../../protocols/lib/hash.ts";
import { LOG_SIZE_MAX } from "../../../protocols/checkpoint/log.ts";
import { ACME, OTHER, refused, refusedAny, unhex, vectors } from "./support.ts";

interface NoteVectors {
  readonly notes: readonly {
    name: string;
    note: string;
    error: ProtocolErrorCode | null;
    did: string;
    epoch: number;
    size: number;
    root: string;
    registryNote: string;
  }[];
  readonly equivocations: readonly { name: string; text: string; error: ProtocolErrorCode | null; did: string; size: number }[];
}

const file = vectors<NoteVectors>(new URL("../../../protocols/checkpoint/vectors/note.json", import.meta.url));

describe("checkpoints (C2SP signed note)", () => {
  for (const { name, note, error, ...expected } of file.notes) {
    it(name, () => {
      if (error !== null) return refused(error, () => openCheckpoint(note));
      const { did, epoch, size, root, registryNote, ...rest } = openCheckpoint(note);
      assert.deepEqual({ did, epoch, size, root: hex(root), registryNote }, expected);
      assert.equal(rest.note, note);
      const key = did === ACME.did ? ACME : OTHER;
      assert.equal(encodeCheckpoint({ origin: checkpointOrigin(did, epoch), size, root }, key.sign), registryNote);
    });
  }

  it("T15 refuses a checkpoint with any character changed", () => {
    const { note } = file.notes[0] as { note: string };
    for (let i = 0; i < note.length; i++) {
      for (const other of ["A", "0", " ", "\n"]) {
        if (note[i] === other) continue;
        refusedAny(() => openCheckpoint(note.slice(0, i) + other + note.slice(i + 1)), `position ${i}, ${JSON.stringify(other)}`);
      }
    }
  });

  it("refuses to write what nobody could read", () => {
    const head = { origin: checkpointOrigin(ACME.did, 0), size: 1, root: unhex("00".repeat(32)) };
    refused("schema", () => encodeCheckpoint({ ...head, size: LOG_SIZE_MAX + 1 }, ACME.sign));
    refused("schema", () => encodeCheckpoint({ ...head, root: unhex("00") }, ACME.sign));
    refused("wrong_origin", () => encodeCheckpoint({ ...head, origin: "example.com/log" }, ACME.sign));
    refused("not_utf8", () => openCheckpoint("\ud800"));
  });
});

describe("T26 evidence of a split view", () => {
  for (const { name, text, error, did, size } of file.equivocations) {
    it(name, () => {
      if (error !== null) return refused(error, () => verifyEquivocation(Buffer.from(text)));
      const found = verifyEquivocation(Buffer.from(text));
      assert.deepEqual({ did: found.did, size: found.size }, { did, size });
    });
  }

  it("is the same bytes whoever finds it, with cosignatures left out, and fits in its bound at the largest size", () => {
    const origin = checkpointOrigin(ACME.did, 4_294_967_295);
    const sign = (text: string): string =>
      encodeCheckpoint({ origin, size: LOG_SIZE_MAX, root: sha256(Buffer.from(text)) }, ACME.sign);
    const [one, two] = [openCheckpoint(sign("one")), openCheckpoint(sign("two") + "— witness AQIDBAU=\n")];
    const evidence = contradicts(one, two);
    assert.ok(evidence !== undefined && evidence.length <= EQUIVOCATION_BYTES_MAX, `${evidence?.length} bytes`);
    assert.deepEqual(contradicts(two, one), evidence);
    assert.equal(verifyEquivocation(evidence).did, ACME.did);
    assert.equal(contradicts(one, one), undefined);
  });
});
