import {
  isInnerList,
  parseDictionary,
  serializeDictionary,
  serializeInnerList,
  serializeString,
  type InnerList,
  type Item,
} from "structured-headers";
import { utf8 } from "../lib/bytes.ts";
import { SIGNATURE_BYTES } from "../lib/keys.ts";
import { CONTENT_DIGEST_HEADER } from "./content-digest.ts";
import { badHeader, onlyHeader, shown } from "./header-fields.ts";
import {
  AUDIENCE_HEADER,
  fieldHeaders,
  ID_HEADER,
  NONCE_HEADER,
  requestFieldsOf,
  SKEW_MS_MAX,
  TIMESTAMP_HEADER,
  type RequestFields,
  type UnsignedRequest,
} from "./request-fields.ts";

/** The same coverage as an HTTP Message Signature (RFC 9421), for clients that have a library for it. */

export const SIGNATURE_INPUT_HEADER = "signature-input";
export const SIGNATURE_HEADER = "signature";
export const MESSAGE_SIGNATURE_TAG = "agent-registry-fed-v1";

const ALGORITHM = "ed25519";
const LABEL = "fed";

/**
 * `@target-uri` holds scheme, authority, path and query byte for byte. `@path` and `@query` would not do: they are normalised, and
 * give the same value for `/a` and `/a?` (RFC 9421 §2.2.6, §2.2.7).
 */
const COVERED: readonly string[] = [
  ...["@method", "@target-uri", CONTENT_DIGEST_HEADER],
  ...[ID_HEADER, AUDIENCE_HEADER, TIMESTAMP_HEADER, NONCE_HEADER],
];

export interface MessageSignature {
  /** SIGNATURE_BYTES. */
  readonly signature: Uint8Array;
  /** What it signs. */
  readonly base: Uint8Array;
}

/**
 * Signs as RFC 9421 says.
 * @param sign Ed25519 by the key of `request.id`
 * @returns all headers to send, names in lower case
 * @throws ProtocolError `bad_header` for what no reader would take
 */
export function signRequestAsMessage(request: UnsignedRequest, sign: (bytes: Uint8Array) => Uint8Array): Record<string, string> {
  const fields = requestFieldsOf(request);
  const list: InnerList = [
    COVERED.map((name): Item => [name, new Map()]),
    new Map([
      ["alg", ALGORITHM],
      ["keyid", request.id],
      ["tag", MESSAGE_SIGNATURE_TAG],
    ]),
  ];
  const signature = sign(messageSignatureBase(componentsOf(fields, COVERED), serializeInnerList(list)));
  return {
    ...fieldHeaders(request),
    [SIGNATURE_INPUT_HEADER]: serializeDictionary(new Map([[LABEL, list]])),
    [SIGNATURE_HEADER]: serializeDictionary(new Map([[LABEL, [Uint8Array.from(signature), new Map()]]])),
  };
}

/**
 * Reads the one signature of a request; whether it verifies is not asked here.
 * @throws ProtocolError `bad_header` unless it covers exactly what it has to, with the parameters that it has to have
 */
export function readMessageSignature(fields: RequestFields, rawHeaders: readonly string[]): MessageSignature {
  const [label, list] = onlyMember(rawHeaders, SIGNATURE_INPUT_HEADER);
  const [signatureLabel, item] = onlyMember(rawHeaders, SIGNATURE_HEADER);
  if (!isInnerList(list)) throw badHeader(SIGNATURE_INPUT_HEADER, "is not a list of the covered components");
  if (label !== signatureLabel) throw badHeader(SIGNATURE_HEADER, `is not named ${shown(label)} as in Signature-Input`);
  const names = coveredBy(list);
  checkParameters(list, fields);
  const value = item[0];
  if (isInnerList(item) || !(value instanceof ArrayBuffer) || value.byteLength !== SIGNATURE_BYTES || item[1].size > 0) {
    throw badHeader(SIGNATURE_HEADER, `is not ${SIGNATURE_BYTES} bytes in base64 between colons`);
  }
  const base = messageSignatureBase(componentsOf(fields, names), serializeInnerList(list));
  return { signature: new Uint8Array(value), base };
}

/**
 * The signature base of RFC 9421 §2.5.
 * @param components name and value, in the order of `parameters`
 * @param parameters value of `@signature-params`
 */
export function messageSignatureBase(components: readonly (readonly [string, string])[], parameters: string): Uint8Array {
  const lines = components.map(([name, value]) => `${serializeString(name)}: ${value}\n`);
  return utf8(`${lines.join("")}"@signature-params": ${parameters}`);
}

function componentsOf(fields: RequestFields, names: readonly string[]): (readonly [string, string])[] {
  const values: Readonly<Record<string, string>> = {
    "@method": fields.method,
    "@target-uri": `https://${fields.authority}${fields.target}`,
    [CONTENT_DIGEST_HEADER]: fields.contentDigest,
    [ID_HEADER]: fields.id,
    [AUDIENCE_HEADER]: fields.audience,
    [TIMESTAMP_HEADER]: String(fields.timestampMs),
    [NONCE_HEADER]: Buffer.from(fields.nonce).toString("base64url"),
  };
  return names.map((name) => [name, values[name] as string]);
}

/** In the order in which they are signed, which is the sender's choice. */
function coveredBy([items]: InnerList): string[] {
  const names = items.map(([name, parameters]) => (typeof name === "string" && parameters.size === 0 ? name : ""));
  if (names.length === COVERED.length && COVERED.every((name) => names.includes(name))) return names;
  throw badHeader(SIGNATURE_INPUT_HEADER, `covers something else than ${COVERED.map((name) => `"${name}"`).join(" ")}`);
}

function checkParameters([, parameters]: InnerList, fields: RequestFields): void {
  const wanted: Readonly<Record<string, string>> = { alg: ALGORITHM, keyid: fields.id, tag: MESSAGE_SIGNATURE_TAG };
  for (const [name, value] of Object.entries(wanted)) {
    if (parameters.get(name) !== value) throw badHeader(SIGNATURE_INPUT_HEADER, `has no parameter ${name}="${value}"`);
  }
  const created = parameters.get("created");
  if (created !== undefined) checkCreated(created, fields.timestampMs);
  const other = [...parameters.keys()].find((name) => name !== "created" && !Object.hasOwn(wanted, name));
  if (other !== undefined)
    throw badHeader(SIGNATURE_INPUT_HEADER, `has the parameter ${shown(other)}, which nobody checks: leave it out`);
}

/** Libraries add it by themselves; X-Registry-Timestamp is what counts, so it must only not contradict that. */
function checkCreated(created: unknown, timestampMs: number): void {
  if (typeof created === "number" && Math.abs(created * 1_000 - timestampMs) <= SKEW_MS_MAX) return;
  throw badHeader(
    SIGNATURE_INPUT_HEADER,
    `has a parameter "created" that is no time within ${SKEW_MS_MAX} ms of X-Registry-Timestamp`,
  );
}

/** A dictionary of one member in the canonical form of RFC 9651 §4.1, so that there is one spelling and no key stands twice. */
function onlyMember(rawHeaders: readonly string[], name: string): [string, Item | InnerList] {
  const text = onlyHeader(rawHeaders, name);
  const [member, ...rest] = members(text);
  if (member === undefined || rest.length > 0) {
    throw badHeader(name, "is not one member of a dictionary in the canonical form of RFC 9651 section 4.1: send one signature");
  }
  return member;
}

function members(text: string): [string, Item | InnerList][] {
  try {
    const dictionary = parseDictionary(text);
    return serializeDictionary(dictionary) === text ? [...dictionary] : [];
  } catch {
    return [];
  }
}
