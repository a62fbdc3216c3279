import { X509Certificate } from "node:crypto";
import { z } from "zod";
import { BUNDLE_LENGTH_MAX, SEQUENCE_MAX } from "../descriptor/descriptor.ts";
import { base64, equal, fromBase64 } from "../lib/bytes.ts";
import { canonicalText, JSON_DEPTH_MAX } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";
import { parseStrictJson } from "../lib/strict-json.ts";

/** The X.509 authorities of one trust domain, as in SPIFFE Trust Domain and Bundle §4 (README.md). Of one registry, never pooled. */
export interface TrustBundle {
  /** DER of each P-256 authority, none twice; without any, nothing of the trust domain is trusted. */
  readonly authorities: readonly Uint8Array[];
  /** Counts up with every change of the authorities, 0 to SEQUENCE_MAX. */
  readonly sequence: number;
  /** How often to look for a newer one, 1 to REFRESH_HINT_SECONDS_MAX. */
  readonly refreshHintSeconds: number;
}

/** Authorities in one bundle: the current one, the next, and those whose leaves are not over yet. */
export const AUTHORITIES_MAX = 4;
/** DER bytes of one authority, so that AUTHORITIES_MAX of them always fit into a descriptor. */
export const AUTHORITY_BYTES_MAX = 1_024;
/** As long as an authority lasts: 7 days. */
export const REFRESH_HINT_SECONDS_MAX = 604_800;

/** Elements of `keys`, those of other uses included. */
const KEYS_MAX = 16;
/** Use of a key that signs X509-SVIDs (SPIFFE Trust Domain and Bundle §4.2.2). */
const X509_SVID = "x509-svid";

const envelope = z.object({
  keys: z.array(z.object({ kty: z.string(), use: z.unknown().optional() }).loose()).max(KEYS_MAX),
  spiffe_sequence: z.int().min(0).max(SEQUENCE_MAX),
  spiffe_refresh_hint: z.int().min(1).max(REFRESH_HINT_SECONDS_MAX),
});

const COORDINATE = /^[A-Za-z0-9_-]{43}$/;
const coordinate = z.string().regex(COORDINATE, "expected 32 bytes in base64url");
const authority = z.object({
  kty: z.literal("EC"),
  use: z.literal(X509_SVID),
  crv: z.literal("P-256"),
  x: coordinate,
  y: coordinate,
  x5c: z.array(z.string()).length(1),
});

/** The document of a bundle, for the description of `/.well-known/spiffe/bundle.json`. */
export const bundleSchema: z.ZodType = z
  .looseObject({ ...envelope.shape, keys: z.array(authority).max(AUTHORITIES_MAX) })
  .meta({ description: "SPIFFE trust bundle: a JWK set" });

/**
 * Canonical JSON, always short enough for a descriptor.
 * @throws ProtocolError `schema` for what `decodeBundle` would refuse
 */
export function encodeBundle(bundle: TrustBundle): string {
  const keys = bundle.authorities.map((der) => ({ ...coordinatesOf(der), use: X509_SVID, x5c: [base64(der)] }));
  const { sequence, refreshHintSeconds } = bundle;
  const text = canonicalText({ keys, spiffe_refresh_hint: refreshHintSeconds, spiffe_sequence: sequence });
  decodeBundle(text);
  return text;
}

/**
 * Elements for other uses and of other key types are passed over, as the standard asks (§4.2.1, §4.2.2), and so are members that
 * it does not name. Validity and extensions of the certificates are not judged here: that is done when one signs something.
 * @throws ProtocolError `too_large`, `not_json`, `duplicate_key`, `too_deep`, `schema`, `bad_base64`
 */
export function decodeBundle(text: string): TrustBundle {
  if (text.length > BUNDLE_LENGTH_MAX) {
    throw new ProtocolError("too_large", `a bundle of ${text.length} characters, at most ${BUNDLE_LENGTH_MAX} are taken`);
  }
  const document = check(envelope, parseStrictJson(text, JSON_DEPTH_MAX), "");
  const used = document.keys.filter((key) => key.kty === "EC" && key.use === X509_SVID);
  if (used.length > AUTHORITIES_MAX) throw bad("keys", `${used.length} authorities, at most ${AUTHORITIES_MAX} are taken`);
  const authorities = used.map((key, index) => readAuthority(check(authority, key, `keys.${index}.`), `keys.${index}`));
  const twice = authorities.findIndex((der, index) => authorities.slice(0, index).some((other) => equal(der, other)));
  if (twice !== -1) throw bad(`keys.${twice}`, "this authority stands twice");
  return { authorities, sequence: document.spiffe_sequence, refreshHintSeconds: document.spiffe_refresh_hint };
}

function readAuthority(key: z.infer<typeof authority>, path: string): Uint8Array {
  const der = fromBase64(key.x5c[0] as string);
  const { x, y } = coordinatesOf(der, `${path}.x5c`);
  if (x !== key.x || y !== key.y) throw bad(path, "x and y are not the public key of the certificate in x5c");
  return der;
}

interface Coordinates {
  readonly kty: "EC";
  readonly crv: "P-256";
  readonly x: string;
  readonly y: string;
}

function coordinatesOf(der: Uint8Array, path = "authority"): Coordinates {
  if (der.length > AUTHORITY_BYTES_MAX) {
    throw bad(path, `a certificate of ${der.length} bytes, at most ${AUTHORITY_BYTES_MAX} are taken`);
  }
  const { crv, x, y } = publicKeyOf(der, path);
  if (crv !== "P-256" || x === undefined || y === undefined) throw bad(path, "the certificate's key is not of the curve P-256");
  return { kty: "EC", crv, x, y };
}

function publicKeyOf(der: Uint8Array, path: string): { readonly crv?: string; readonly x?: string; readonly y?: string } {
  try {
    const certificate = new X509Certificate(der);
    if (equal(certificate.raw, der)) return certificate.publicKey.export({ format: "jwk" });
  } catch {
    // Whatever the parser disliked, the answer is the same.
  }
  throw bad(path, "not the DER form of one X.509 certificate");
}

function check<T>(schema: z.ZodType<T>, value: unknown, path: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => `bundle.${path}${issue.path.join(".")}: ${issue.message}`);
  throw new ProtocolError("schema", issues.join("; "), { fields: issues.length });
}

function bad(path: string, message: string): ProtocolError {
  return new ProtocolError("schema", `bundle.${path}: ${message}`);
}
