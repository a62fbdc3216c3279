import { createPrivateKey, X509Certificate } from "node:crypto";
import { open } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { CancelTimer, Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";

/** The files are looked at this often: file systems do not tell reliably that they have changed. */
export const WEB_CERTIFICATE_CHECK_MS = 60_000;
/** Bytes of a file; chains and keys take a few thousand. */
const PEM_BYTES_MAX = 262_144;
const OTHERS = 0o007;
const PERMISSIONS = 0o777;

export type WebCertificateErrorCode = "unreadable" | "exposed" | "damaged" | "mismatch" | "expired";

/** The certificate of the public web, or its key, cannot be served; `message` names the file and says what to do. */
export class WebCertificateError extends Error {
  override readonly name = "WebCertificateError";
  readonly code: WebCertificateErrorCode;

  constructor(code: WebCertificateErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
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

export interface WebCertificateOptions {
  readonly paths: WebCertificatePaths;
  readonly clock: Clock;
  readonly log: Log;
}

/** The pair in the files, now. @throws WebCertificateError */
export async function openWebCertificate(options: WebCertificateOptions): Promise<WebCertificateFiles> {
  const { paths, clock } = options;
  return new WebCertificateFiles(options, await readChecked(paths, clock.now()));
}

/** A pair that is renewed by others while we run. */
export class WebCertificateFiles {
  readonly #options: WebCertificateOptions;
  #read: ReadPair;
  #take: (pair: WebCertificatePair) => void = () => undefined;
  #cancel: CancelTimer = () => undefined;
  #checking: Promise<void> | undefined;
  #reported: string | undefined;
  #isClosed = false;

  constructor(options: WebCertificateOptions, read: ReadPair) {
    this.#options = options;
    this.#read = read;
  }

  /** What was read last and holds. */
  get pair(): WebCertificatePair {
    return this.#read.pair;
  }

  /** From now on `take` is called with each new pair, until `close`. */
  watch(take: (pair: WebCertificatePair) => void): void {
    this.#take = take;
    this.#wait();
  }

  /** Looks at the files now. What does not hold is logged, and the old pair stays. */
  check(): Promise<void> {
    return (this.#checking ??= this.#check().finally(() => (this.#checking = undefined)));
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  #wait(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#options.clock.after(WEB_CERTIFICATE_CHECK_MS, () => void this.check().then(() => this.#wait()));
  }

  async #check(): Promise<void> {
    const { paths, clock, log } = this.#options;
    try {
      const read = await readPair(paths);
      if (this.#isClosed || read.stamp === this.#read.stamp) return;
      checkPair(read.pair, paths, clock.now());
      this.#take(read.pair);
      this.#read = read;
      this.#reported = undefined;
      log.info("the renewed certificate of the public web is served", { path: paths.certificate });
    } catch (error) {
      const { message } = error as Error;
      // The two files are rarely replaced at once: looked at again each time, said once.
      if (message !== this.#reported) log.warn("the certificate of the public web was not renewed: the old one stays", { error });
      this.#reported = message;
    }
  }
}

interface ReadPair {
  readonly pair: WebCertificatePair;
  /** Changes with the files. */
  readonly stamp: string;
}

async function readChecked(paths: WebCertificatePaths, nowMs: number): Promise<ReadPair> {
  const read = await readPair(paths);
  checkPair(read.pair, paths, nowMs);
  return read;
}

async function readPair(paths: WebCertificatePaths): Promise<ReadPair> {
  const certificate = await readPem(paths.certificate, false);
  const key = await readPem(paths.key, true);
  return { pair: { certificate: certificate.text, key: key.text }, stamp: `${certificate.stamp} ${key.stamp}` };
}

async function readPem(path: string, isSecret: boolean): Promise<{ readonly text: string; readonly stamp: string }> {
  try {
    await using file = await open(path, "r");
    const { mode, mtimeMs, size, ino } = await file.stat();
    // A group of its own may read it: that is how keys are shared between services.
    if (isSecret && process.platform !== "win32" && (mode & OTHERS) !== 0) {
      const shown = (mode & PERMISSIONS).toString(8).padStart(4, "0");
      throw new WebCertificateError("exposed", `everybody may use the key ${path} (mode ${shown}): run chmod o= on it`);
    }
    if (size > PEM_BYTES_MAX) {
      throw new WebCertificateError("damaged", `${path} has ${size} bytes, at most ${PEM_BYTES_MAX} are read: name a PEM file`);
    }
    return { text: await file.readFile("utf8"), stamp: `${mtimeMs}-${size}-${ino}` };
  } catch (cause) {
    if (cause instanceof WebCertificateError) throw cause;
    const message = `${path} cannot be read: ${(cause as Error).message}; name a readable PEM file`;
    throw new WebCertificateError("unreadable", message, { cause });
  }
}

function checkPair({ certificate, key }: WebCertificatePair, paths: WebCertificatePaths, nowMs: number): void {
  const leaf = parsed(() => new X509Certificate(certificate), `${paths.certificate} holds no certificate: name a PEM chain`);
  const privateKey = parsed(
    () => createPrivateKey(key),
    `${paths.key} holds no private key: name a PEM file that takes no passphrase`,
  );
  if (!leaf.checkPrivateKey(privateKey)) {
    const message = `${paths.key} is not the key of the first certificate in ${paths.certificate}`;
    throw new WebCertificateError("mismatch", `${message}: name the two files of one pair, the chain with its leaf first`);
  }
  const [from, to] = [leaf.validFromDate, leaf.validToDate];
  if (nowMs < from.getTime() || nowMs >= to.getTime()) {
    const span = `is valid from ${from.toISOString()} to ${to.toISOString()}`;
    throw new WebCertificateError("expired", `${paths.certificate} ${span}, not now: renew it, or set this machine's clock`);
  }
  parsed(() => createSecureContext({ cert: certificate, key }), `${paths.certificate} cannot be served: renew it with its key`);
}

function parsed<T>(parse: () => T, message: string): T {
  try {
    return parse();
  } catch (cause) {
    throw new WebCertificateError("damaged", `${message} (${(cause as Error).message})`, { cause });
  }
}
