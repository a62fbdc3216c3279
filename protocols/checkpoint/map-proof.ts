import { equal } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import { bitAt, EMPTY, isEmpty, isLeaf, KEY_BITS, leafHash, type MapEntry } from "./map.ts";
import { joinProven, type MapReader, siblingKey } from "./map-reader.ts";
import { containsKey, prefixOf } from "./prefix.ts";
import { WireReader, WireWriter } from "../lib/wire.ts";

export { decodeMultiproof, encodeMultiproof, MULTIPROOF_KEYS_MAX, proveMany, verifyMultiproof } from "./map-multiproof.ts";

/** Why a key is, or is not, in the map under a root (README.md, "Proof of one key"). */
export interface MapProof {
  /** The other half at every level from the deepest to the root, EMPTY where nothing stands: 0 to 256 hashes. */
  readonly siblings: readonly Uint8Array[];
  /** Only in a proof of absence: the other leaf that stands where the key would. Without it nothing stands there. */
  readonly leaf?: MapEntry;
}

/** Bytes of the longest proof: depth, bitmap, siblings, kind, leaf. */
const MAP_PROOF_BYTES_MAX: number = 2 + KEY_BITS / 8 + KEY_BITS * HASH_BYTES + 1 + 2 * HASH_BYTES;

const WITHOUT_LEAF = 0;
const WITH_LEAF = 1;

/** The proof of what the map says about `key`; `found` tells which of the two verifiers it is for. */
export function prove(map: MapReader, key: Uint8Array): { readonly found: boolean; readonly proof: MapProof } {
  const siblings: Uint8Array[] = [];
  for (let depth = 0; ; depth++) {
    const hash = map.nodeAt(key, depth);
    if (isEmpty(hash)) return { found: false, proof: { siblings: siblings.reverse() } };
    if (isLeaf(hash)) {
      const leaf = map.leafAt(key, depth);
      siblings.reverse();
      return equal(leaf[0], key) ? { found: true, proof: { siblings } } : { found: false, proof: { siblings, leaf } };
    }
    siblings.push(map.nodeAt(siblingKey(key, depth), depth + 1));
  }
}

/** @throws ProtocolError `bad_proof` unless the map under `root` holds `value` at `key` */
export function verifyInclusion(root: Uint8Array, key: Uint8Array, value: Uint8Array, proof: MapProof): void {
  if (proof.leaf !== undefined) throw bad("a proof of inclusion names no other leaf");
  if (!equal(fold(key, leafHash(key, value), proof), root)) throw bad("the record is not proven by the map root");
}

/** @throws ProtocolError `bad_proof` unless the map under `root` holds nothing at `key` */
export function verifyAbsence(root: Uint8Array, key: Uint8Array, proof: MapProof): void {
  const { leaf, siblings } = proof;
  if (leaf !== undefined) {
    if (equal(leaf[0], key)) throw bad("the proof of absence names the key itself");
    if (!containsKey(prefixOf(key, Math.min(siblings.length, KEY_BITS)), leaf[0])) throw bad("the other leaf stands elsewhere");
  }
  const start = leaf === undefined ? EMPTY : leafHash(leaf[0], leaf[1]);
  if (!equal(fold(key, start, proof), root)) throw bad("the absence is not proven by the map root");
}

/** u16 depth, bitmap of the levels that hold something (deepest first), their hashes, u8 kind, and the other leaf for kind 1. */
export function encodeMapProof(proof: MapProof): Uint8Array {
  const bitmap = new Uint8Array((proof.siblings.length + 7) >> 3);
  proof.siblings.forEach((hash, i) => {
    if (!isEmpty(hash)) bitmap[i >> 3] = (bitmap[i >> 3] as number) | (0x80 >> (i & 7));
  });
  const writer = new WireWriter().u16(proof.siblings.length).raw(bitmap);
  for (const hash of proof.siblings) if (!isEmpty(hash)) writer.raw(hash);
  if (proof.leaf === undefined) return writer.u8(WITHOUT_LEAF).finish();
  return writer.u8(WITH_LEAF).raw(proof.leaf[0]).raw(proof.leaf[1]).finish();
}

/** @throws ProtocolError `too_large`, `truncated`, `bad_frame`, `bad_proof`, `limit_exceeded` */
export function decodeMapProof(bytes: Uint8Array): MapProof {
  const reader = new WireReader(bytes, MAP_PROOF_BYTES_MAX);
  const depth = reader.count(2, KEY_BITS, "levels");
  const bitmap = reader.raw((depth + 7) >> 3);
  if (depth % 8 !== 0 && ((bitmap.at(-1) as number) & (0xff >> (depth % 8))) !== 0) throw bad("the bitmap's padding is not zero");
  const siblings: Uint8Array[] = [];
  for (let i = 0; i < depth; i++) {
    const present = bitAt(bitmap, i) === 1;
    const hash = present ? reader.hash() : EMPTY;
    if (present && isEmpty(hash)) throw bad("an empty subtree is written as a hash");
    siblings.push(hash);
  }
  const kind = reader.u8();
  if (kind !== WITHOUT_LEAF && kind !== WITH_LEAF) throw bad(`unknown kind of proof ${kind}`);
  const leaf: MapEntry | undefined = kind === WITH_LEAF ? [reader.hash(), reader.hash()] : undefined;
  reader.end();
  return leaf === undefined ? { siblings } : { siblings, leaf };
}

function fold(key: Uint8Array, start: Uint8Array, { siblings }: MapProof): Uint8Array {
  if (siblings.length > KEY_BITS) throw bad(`${siblings.length} levels, a map has at most ${KEY_BITS}`);
  let hash = start;
  siblings.forEach((sibling, i) => {
    const depth = siblings.length - 1 - i;
    hash = bitAt(key, depth) === 0 ? joinProven(hash, sibling, depth) : joinProven(sibling, hash, depth);
  });
  return hash;
}

function bad(message: string): ProtocolError {
  return new ProtocolError("bad_proof", message);
}
