import { KEY_BITS } from "../checkpoint/map.ts";
import type { MapProof } from "../checkpoint/map-proof.ts";
import { concat } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import { fromHexText, HASH_ITEM_BYTES, hexText } from "./json-document.ts";

/**
 * `merkle_proof`, one order for every client (rest.md): the siblings from the deepest level to the root, 64 zeros where nothing
 * stands. Of a DELETE the other leaf comes first where one stands in the agent's place: its key and value in one item of 128
 * digits, which no sibling has.
 */
export const MERKLE_PROOF_ITEMS_MAX: number = KEY_BITS + 1;
export const MERKLE_PROOF_BYTES_MAX: number = KEY_BITS * HASH_ITEM_BYTES + (HASH_ITEM_BYTES + 2 * HASH_BYTES);

const LEAF_BYTES = 2 * HASH_BYTES;
/** Characters of the longest item: the other leaf. */
export const MERKLE_PROOF_ITEM_LENGTH_MAX: number = 2 + 2 * LEAF_BYTES;

export function writeMerkleProof({ leaf, siblings }: MapProof): string[] {
  const items = siblings.map(hexText);
  if (leaf !== undefined) items.unshift(hexText(concat(leaf[0], leaf[1])));
  return items;
}

/** @param ofAbsence whether another leaf may stand there @throws ProtocolError `schema`, `limit_exceeded` */
export function readMerkleProof(items: readonly string[], ofAbsence: boolean): MapProof {
  const [first] = items;
  const hasLeaf = first?.length === MERKLE_PROOF_ITEM_LENGTH_MAX;
  if (hasLeaf && !ofAbsence) throw new ProtocolError("schema", "merkle_proof: only that of a DELETE names another leaf");
  const siblings = (hasLeaf ? items.slice(1) : items).map((item) => fromHexText(item));
  if (siblings.length > KEY_BITS) {
    throw new ProtocolError("limit_exceeded", `merkle_proof: ${siblings.length} siblings, at most ${KEY_BITS} are taken`);
  }
  if (!hasLeaf) return { siblings };
  const entry = fromHexText(first, LEAF_BYTES);
  return { siblings, leaf: [entry.subarray(0, HASH_BYTES), entry.subarray(HASH_BYTES)] };
}
