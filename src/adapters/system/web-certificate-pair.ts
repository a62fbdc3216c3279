import { createPrivateKey, X509Certificate } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { access, open } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { isCode } from "../files.ts";

/** Bytes of a file; chains and keys take a few thousand. */
const PEM_BYTES_MAX = 262_144;
/** The names of a certificate are shown up to so many characters. */
const NAMES_SHOWN_LENGTH_MAX = 200;
const OTHERS = 0o007;
const WRITABLE_BY_OTHERS = 0o002;
const PERMISSIONS = 0o777;
const ROOT_UID = 0;

export type WebCertificateErrorCode = "unreadable" | "exposed" | "damaged" | "mismatch" | "wrong_name" | "expired";

/** The certificate of the public web, or its key, cannot be served; `message` names the file and says what to do. */
export class WebCertificateError extends Error {
  override readonly name = "WebCertificateError";
  readonly code: WebCertificateErrorCode;
  readonly found: string;
  readonly fix: string;

  constructor(code: WebCertificateErrorCode, found: string, fix: string, options?: { cause?: unknown }) {
    super(`${found}: ${fix}`, options);
    this.code = code;
    this.found = found;
    this.fix = fix;
  }
}

/** Paths of PEM files. */
export interface WebCertificatePaths {
  /** The leaf first, then what leads to a root that browsers know. */
  readonly certificate: string;
  readonly key: string;
}

/** Their contents: PEM. */
export interface WebCertificatePair {
  readonly certificate: string;
  readonly key: string;
}

/** A pair as it stands in its files. */
export interface StoredPair {
  readonly pair: WebCertificatePair;
  /** Changes with the files. */
  readonly stamp: string;
  /** The key can be read by everybody, and is taken all the same. */
  readonly exposure: Exposure | undefined;
}

export interface Exposure {
  readonly found: string;
  readonly fix: string;
}

/** Of the leaf. */
export interface WebLeaf {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 of its DER form, as node:crypto writes it. */
  readonly fingerprint256: string;
}

/** @throws WebCertificateError `unreadable`, `exposed`, `damaged` */
export async function readPair(paths: WebCertificatePaths): Promise<StoredPair> {
  const certificate = await readPem(paths.certificate);
  const key = await readPem(paths.key);
  return {
    pair: { certificate: certificate.text, key: key.text },
    stamp: `${certificate.stamp} ${key.stamp}`,
    exposure: await exposureOf(paths.key, key.facts),
  };
}

/** Whether the pair can be served for `domain` now. @throws WebCertificateError `damaged`, `mismatch`, `wrong_name`, `expired` */
export function checkPair(
  { certificate, key }: WebCertificatePair,
  paths: WebCertificatePaths,
  domain: string,
  nowMs: number,
): WebLeaf {
  const leaf = parsed(() => new X509Certificate(certificate), `${paths.certificate} holds no certificate`, "name a PEM chain");
  const privateKey = parsed(
    () => createPrivateKey(key),
    `${paths.key} holds no private key`,
    "name a PEM file that takes no passphrase",
  );
  if (!leaf.checkPrivateKey(privateKey)) {
    const found = `${paths.key} is not the key of the first certificate in ${paths.certificate}`;
    throw new WebCertificateError("mismatch", found, "name the two files of one pair, the chain with its leaf first");
  }
  checkName(leaf, paths, domain);
  const [from, to] = [leaf.validFromDate, leaf.validToDate];
  if (nowMs < from.getTime() || nowMs >= to.getTime()) {
    const span = `is valid from ${from.toISOString()} to ${to.toISOString()}`;
    throw new WebCertificateError("expired", `${paths.certificate} ${span}, not now`, "renew it, or set this machine's clock");
  }
  parsed(
    () => createSecureContext({ cert: certificate, key }),
    `${paths.certificate} cannot be served`,
    "renew it with its key, RSA of at least 2,048 bits or P-256",
  );
  return { notBeforeMs: from.getTime(), notAfterMs: to.getTime(), fingerprint256: leaf.fingerprint256 };
}

/** As browsers compare (RFC 9525 §6.3): alternative names alone, and a wildcard for one whole label. */
function checkName(leaf: X509Certificate, paths: WebCertificatePaths, domain: string): void {
  if (leaf.checkHost(domain, { subject: "never", partialWildcards: false }) !== undefined) return;
  const names = (leaf.subjectAltName ?? "").slice(0, NAMES_SHOWN_LENGTH_MAX);
  const found = `${paths.certificate} is for ${names === "" ? "no name" : names}, not for ${domain}`;
  throw new WebCertificateError("wrong_name", found, "name a certificate for REGISTRY_DOMAIN, or correct that");
}

interface PemFile {
  readonly text: string;
  readonly stamp: string;
  readonly facts: Stats;
}

async function readPem(path: string): Promise<PemFile> {
  try {
    await using file = await open(path, "r");
    const facts = await file.stat();
    const { mtimeMs, size, ino } = facts;
    if (size > PEM_BYTES_MAX) {
      throw new WebCertificateError("damaged", `${path} has ${size} bytes, at most ${PEM_BYTES_MAX} are read`, "name a PEM file");
    }
    return { text: await file.readFile("utf8"), stamp: `${mtimeMs}-${size}-${ino}`, facts };
  } catch (cause) {
    if (cause instanceof WebCertificateError) throw cause;
    const found = `${path} cannot be read: ${(cause as Error).message}`;
    throw new WebCertificateError("unreadable", found, "name a PEM file that this user may read", { cause });
  }
}

/**
 * Whether everybody may read the key. Its group may: that is how keys are shared between services. Secrets that are mounted into
 * containers are often readable by all of the few who are there, and not for us to change: those are taken, and said.
 * @throws WebCertificateError `exposed`
 */
async function exposureOf(path: string, { mode, uid }: Stats): Promise<Exposure | undefined> {
  if (process.platform === "win32" || (mode & OTHERS) === 0) return undefined;
  const found = `everybody may use the key ${path} (mode ${(mode & PERMISSIONS).toString(8).padStart(4, "0")})`;
  const isOfRoot = uid === ROOT_UID && process.geteuid?.() !== ROOT_UID;
  if ((mode & WRITABLE_BY_OTHERS) === 0 && (isOfRoot || (await isMountedReadOnly(path)))) {
    return { found, fix: "have it mounted with mode 0440 and a group of this user (fsGroup in Kubernetes, gid in Docker)" };
  }
  throw new WebCertificateError("exposed", found, `run chmod o= on it, and make a new one if somebody else had access`);
}

async function isMountedReadOnly(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    return false;
  } catch (error) {
    return isCode(error, "EROFS");
  }
}

function parsed<T>(parse: () => T, found: string, fix: string): T {
  try {
    return parse();
  } catch (cause) {
    throw new WebCertificateError("damaged", `${found} (${(cause as Error).message})`, fix, { cause });
  }
}
