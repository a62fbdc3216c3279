import { compare, equal } from "../lib/bytes.ts";
import { decodeCanonical, encodeCanonical, type Json } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";
import { readDescriptor, signedBytes } from "./codec.ts";
import { type Descriptor, DESCRIPTOR_BYTES_MAX } from "./descriptor.ts";

/** A registry that signed two descriptors of one sequence (T9): evidence for ever, wherever it is shown. */
export interface DescriptorConflict {
  readonly did: string;
  readonly sequence: number;
}

/** Two descriptors and their frame, in bytes. */
export const CONFLICT_BYTES_MAX: number = 2 * DESCRIPTOR_BYTES_MAX + 64;

const EVIDENCE_KIND = "descriptor-conflict";

/** The evidence, canonical JSON and the same bytes whoever finds it, or `undefined` where the two can both be honest. */
export function sameSequenceConflict(a: Descriptor, b: Descriptor): Uint8Array | undefined {
  if (a.did !== b.did || a.sequence !== b.sequence) return undefined;
  if (equal(signedBytes(a), signedBytes(b))) return undefined;
  const descriptors = [a, b].toSorted((one, other) => compare(signedBytes(one), signedBytes(other)));
  return encodeCanonical({ descriptors: descriptors as unknown as Json, kind: EVIDENCE_KIND });
}

/** @throws ProtocolError `bad_proof` unless both verify and conflict in the one form; `schema`; those of `readDescriptor` */
export function verifyDescriptorConflict(evidence: Uint8Array): DescriptorConflict {
  const value = decodeCanonical(evidence, CONFLICT_BYTES_MAX);
  const documents = typeof value === "object" && value !== null && "descriptors" in value ? value.descriptors : undefined;
  if (!Array.isArray(documents) || documents.length !== 2) {
    throw new ProtocolError("schema", "evidence of a descriptor conflict is {descriptors: [descriptor, descriptor], kind}");
  }
  const [first, second] = documents.map((document: Json) => readDescriptor(encodeCanonical(document))) as [
    Descriptor,
    Descriptor,
  ];
  const again = sameSequenceConflict(first, second);
  if (again === undefined || !equal(again, evidence)) {
    throw new ProtocolError("bad_proof", "the two descriptors do not conflict, or are not in the one form of evidence");
  }
  return { did: first.did, sequence: first.sequence };
}
