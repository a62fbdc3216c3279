import "reflect-metadata";
import { X509Certificate } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate as ParsedCertificate,
  type Extension,
} from "@peculiar/x509";
import { equal } from "../../protocols/lib/bytes.ts";
import { memo } from "../../protocols/lib/memo.ts";
import { SvidError } from "./svid-error.ts";

/** One certificate in DER, in bytes: a P-256 leaf with sixteen DNS names has about 1,000. */
export const CERTIFICATE_BYTES_MAX = 8_192;

/** Certificates kept parsed: parsing takes 2 ms, all else 0.1 ms, and one leaf comes with every session of its holder. */
export const CERTIFICATES_REMEMBERED_MAX = 512;

/** What the rules of an X509-SVID ask about a certificate; nothing of it is proved. */
export interface CertificateFacts {
  /** For its key, and to check signatures. */
  readonly certificate: X509Certificate;
  /** URIs among its subject alternative names. */
  readonly uris: readonly string[];
  readonly isAuthority: boolean;
  /** `undefined` where the extension is missing. */
  readonly keyUsage: KeyUsage | undefined;
  /** For servers and for clients alike, or no extended key usage is named. */
  readonly isForTls: boolean;
  readonly isP256: boolean;
  /** Signed with ECDSA over SHA-256, SHA-384 or SHA-512. */
  readonly hasStrongSignature: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface KeyUsage {
  readonly isCritical: boolean;
  readonly digitalSignature: boolean;
  readonly keyCertSign: boolean;
  readonly cRLSign: boolean;
}

const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";
const BASIC_CONSTRAINTS = "2.5.29.19";
const KEY_USAGE = "2.5.29.15";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const UNDERSTOOD: ReadonlySet<string> = new Set([SUBJECT_ALTERNATIVE_NAME, BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE]);

/** @throws SvidError `malformed` */
export function readCertificate(der: Uint8Array): CertificateFacts {
  if (der.length > CERTIFICATE_BYTES_MAX) {
    throw new SvidError("malformed", `the certificate has ${der.length} bytes, at most ${CERTIFICATE_BYTES_MAX} are taken`);
  }
  try {
    return factsOf(Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString("latin1"));
  } catch (cause) {
    if (cause instanceof SvidError) throw cause;
    throw new SvidError("malformed", "the certificate is not X.509 in DER", { cause });
  }
}

const factsOf = memo(CERTIFICATES_REMEMBERED_MAX, (latin1) => read(Buffer.from(latin1, "latin1")));

function read(der: Uint8Array): CertificateFacts {
  const certificate = new X509Certificate(der);
  if (!equal(certificate.raw, der)) throw new SvidError("malformed", "more than one certificate stands where one is expected");
  const parsed = new ParsedCertificate(certificate.raw);
  const extensions = extensionsOf(parsed);
  const names = extension(extensions, SUBJECT_ALTERNATIVE_NAME, SubjectAlternativeNameExtension);
  const constraints = extension(extensions, BASIC_CONSTRAINTS, BasicConstraintsExtension);
  const usage = extension(extensions, KEY_USAGE, KeyUsagesExtension);
  const extended = extension(extensions, EXTENDED_KEY_USAGE, ExtendedKeyUsageExtension);
  const { publicKey } = certificate;
  return {
    certificate,
    uris: (names?.names.items ?? []).filter(({ type }) => type === "url").map(({ value }) => value),
    isAuthority: certificate.ca || constraints?.ca === true,
    keyUsage: usage && keyUsageOf(usage),
    isForTls: extended === undefined || TLS_USAGES.every((one) => extended.usages.includes(one)),
    isP256: publicKey.asymmetricKeyType === "ec" && publicKey.asymmetricKeyDetails?.namedCurve === "prime256v1",
    hasStrongSignature: isStrong(parsed.signatureAlgorithm),
    notBeforeMs: parsed.notBefore.getTime(),
    notAfterMs: parsed.notAfter.getTime(),
  };
}

const TLS_USAGES = [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth];

function keyUsageOf({ critical, usages }: KeyUsagesExtension): KeyUsage {
  const has = (flag: KeyUsageFlags): boolean => (usages & flag) !== 0;
  return {
    isCritical: critical,
    digitalSignature: has(KeyUsageFlags.digitalSignature),
    keyCertSign: has(KeyUsageFlags.keyCertSign),
    cRLSign: has(KeyUsageFlags.cRLSign),
  };
}

/** RFC 5280 §4.2: none twice, and whoever does not understand a critical one refuses the certificate. */
function extensionsOf(parsed: ParsedCertificate): Map<string, Extension> {
  const byType = new Map<string, Extension>();
  for (const one of parsed.extensions) {
    if (byType.has(one.type)) throw new SvidError("malformed", `the extension ${one.type} stands twice in the certificate`);
    if (one.critical && !UNDERSTOOD.has(one.type)) {
      throw new SvidError("malformed", `the certificate has a critical extension that is not understood here: ${one.type}`);
    }
    byType.set(one.type, one);
  }
  return byType;
}

function extension<T extends Extension>(
  extensions: ReadonlyMap<string, Extension>,
  type: string,
  as: new (raw: ArrayBuffer) => T,
): T | undefined {
  const found = extensions.get(type);
  if (found === undefined) return undefined;
  return found instanceof as ? found : new as(found.rawData);
}

/** The library names it in types of the browser; algorithms that are unknown to it have no name. */
interface SignatureAlgorithm {
  readonly name?: string;
  readonly hash?: { readonly name?: string };
}

const STRONG_HASHES: ReadonlySet<string> = new Set(["SHA-256", "SHA-384", "SHA-512"]);

function isStrong(algorithm: SignatureAlgorithm): boolean {
  return algorithm.name === "ECDSA" && STRONG_HASHES.has(algorithm.hash?.name ?? "");
}
