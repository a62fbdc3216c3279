import { z } from "zod";
import { type Hello, HELLO_HEADS_MAX, HELLO_KNOWN_MAX } from "../announce/hello.ts";
import type { SignedHead } from "../checkpoint/head.ts";
import { DESCRIPTOR_BYTES_MAX } from "../descriptor/descriptor.ts";
import { JSON_DEPTH_MAX } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";
import {
  canonicalBytes,
  embedded,
  HEAD_DOCUMENT_BYTES_MAX,
  headDocument,
  headMembers,
  headSchema,
  readHead,
} from "./head-document.ts";
import { checkDocument, encodeDocument, FRAME_BYTES_MAX, readDocument } from "./json-document.ts";

/** `GET` and `POST /federation/public`: who a registry is (rest.md). Descriptors are written as they were signed. */
export const INTRODUCTION_PATH = "/federation/public";

/** What a registry tells everybody. */
export interface Introduction {
  /** Exact bytes of its descriptor. */
  readonly descriptor: Uint8Array;
  /** Its newest head; absent before the first commit. */
  readonly head?: SignedHead;
}

export const INTRODUCTION_BYTES_MAX: number = DESCRIPTOR_BYTES_MAX + HEAD_DOCUMENT_BYTES_MAX + FRAME_BYTES_MAX;
/** Bytes of the longest answer to an announcement; the items' commas are within the frame of each head. */
export const HELLO_DOCUMENT_BYTES_MAX: number =
  (1 + HELLO_KNOWN_MAX) * (1 + DESCRIPTOR_BYTES_MAX) + (2 + HELLO_HEADS_MAX) * HEAD_DOCUMENT_BYTES_MAX + FRAME_BYTES_MAX;

/** The document stands at most three levels above what it holds. */
const DEPTH_MAX = JSON_DEPTH_MAX + 3;

const descriptor = embedded("signed descriptor; its canonical form is what the signature covers");

const introductionShape = z.looseObject({
  descriptor,
  checkpoint: headMembers.checkpoint.nullish(),
  commit: headMembers.commit.optional(),
  log_proof: headMembers.log_proof.nullish(),
});

const helloShape = z.looseObject({
  descriptor,
  head: headSchema.nullish().meta({ description: "newest head of the registry that answers" }),
  yours: headSchema.nullish().meta({ description: "newest head of the asker that the registry has seen" }),
  known: z.array(descriptor).max(HELLO_KNOWN_MAX).meta({ description: "descriptors of other registries" }),
  heads: z.array(headSchema).max(HELLO_HEADS_MAX).meta({ description: "newest heads of other registries" }),
});

export const introductionSchema: z.ZodType = introductionShape;
export const helloSchema: z.ZodType = helloShape;

export function encodeIntroduction({ descriptor: own, head }: Introduction): Uint8Array {
  return encodeDocument({ descriptor: own, ...(head && headDocument(head)) });
}

/**
 * Checks the form and the bounds; `openDescriptor` and `verifyHead` do the rest.
 * @throws ProtocolError `too_large`, `not_utf8`, `not_json`, `too_deep`, `duplicate_key`, `schema`
 */
export function decodeIntroduction(bytes: Uint8Array): Introduction {
  const document = checkDocument(introductionShape, readDocument(bytes, INTRODUCTION_BYTES_MAX, DEPTH_MAX));
  const own = readDescriptor(document.descriptor);
  const [checkpoint, commit, logProof] = [
    document.checkpoint ?? undefined,
    document.commit ?? undefined,
    document.log_proof ?? undefined,
  ];
  if (checkpoint === undefined && commit === undefined && logProof === undefined) return { descriptor: own };
  if (checkpoint === undefined || commit === undefined || logProof === undefined) {
    throw new ProtocolError("schema", "checkpoint, commit and log_proof come together, or none of them");
  }
  return { descriptor: own, head: readHead({ checkpoint, commit, log_proof: logProof }) };
}

/** @throws ProtocolError `limit_exceeded` */
export function encodeHelloDocument(hello: Hello): Uint8Array {
  if (hello.known.length > HELLO_KNOWN_MAX || hello.heads.length > HELLO_HEADS_MAX) {
    throw new ProtocolError("limit_exceeded", `at most ${HELLO_KNOWN_MAX} descriptors and ${HELLO_HEADS_MAX} heads fit`);
  }
  return encodeDocument({
    descriptor: hello.descriptor,
    head: hello.head && headDocument(hello.head),
    yours: hello.yours && headDocument(hello.yours),
    known: hello.known,
    heads: hello.heads.map(headDocument),
  });
}

/**
 * Checks the form and the bounds: descriptors and heads are opened one by one, so that a bad one among `known` or `heads`, which
 * the sender may have from others, does not spoil the rest. @throws ProtocolError as `decodeIntroduction`
 */
export function decodeHelloDocument(bytes: Uint8Array): Hello {
  const document = checkDocument(helloShape, readDocument(bytes, HELLO_DOCUMENT_BYTES_MAX, DEPTH_MAX));
  const head = document.head ? readHead(document.head) : undefined;
  const yours = document.yours ? readHead(document.yours) : undefined;
  return {
    descriptor: readDescriptor(document.descriptor),
    ...(head && { head }),
    ...(yours && { yours }),
    known: document.known.map(readDescriptor),
    heads: document.heads.map(readHead),
  };
}

function readDescriptor(value: unknown): Uint8Array {
  return canonicalBytes(value, DESCRIPTOR_BYTES_MAX, "descriptor");
}
