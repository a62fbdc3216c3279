import type { CancelTimer, Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import {
  checkPair,
  readPair,
  type StoredPair,
  type WebCertificatePair,
  type WebCertificatePaths,
  type WebLeaf,
} from "./web-certificate-pair.ts";

/** The files are looked at this often: file systems do not tell reliably that they have changed. */
export const WEB_CERTIFICATE_CHECK_MS = 60_000;

export interface WebCertificateOptions {
  readonly paths: WebCertificatePaths;
  /** The host name for which it is served. */
  readonly domain: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** The pair in the files, now. @throws WebCertificateError */
export async function openWebCertificate(options: WebCertificateOptions): Promise<WebCertificateFiles> {
  const { paths, domain, clock, log } = options;
  const stored = await readPair(paths);
  const leaf = checkPair(stored.pair, paths, domain, clock.now());
  warnOfExposure(stored, log);
  return new WebCertificateFiles(options, { ...stored, ...leaf });
}

type Served = StoredPair & WebLeaf;

/** A pair that is renewed by others while we run. */
export class WebCertificateFiles {
  readonly #options: WebCertificateOptions;
  #served: Served;
  #take: (pair: WebCertificatePair) => void = () => undefined;
  #cancel: CancelTimer = () => undefined;
  #checking: Promise<void> | undefined;
  #reported: string | undefined;
  #isEndTold = false;
  #isClosed = false;

  constructor(options: WebCertificateOptions, served: Served) {
    this.#options = options;
    this.#served = served;
  }

  /** What was read last and holds. */
  get pair(): WebCertificatePair {
    return this.#served.pair;
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
    const { paths, domain, clock, log } = this.#options;
    this.#tellEnd();
    try {
      const stored = await readPair(paths);
      if (this.#isClosed || stored.stamp === this.#served.stamp) return;
      const leaf = checkPair(stored.pair, paths, domain, clock.now());
      this.#take(stored.pair);
      this.#served = { ...stored, ...leaf };
      this.#reported = undefined;
      this.#isEndTold = false;
      log.info("the renewed certificate of the public web is served", { path: paths.certificate });
      warnOfExposure(stored, log);
    } catch (error) {
      const { message } = error as Error;
      // The two files are rarely replaced at once: looked at again each time, said once.
      if (message !== this.#reported) log.warn("the certificate of the public web was not renewed: the old one stays", { error });
      this.#reported = message;
    }
  }

  #tellEnd(): void {
    const { paths, clock, log } = this.#options;
    const { notAfterMs } = this.#served;
    if (this.#isEndTold || clock.now() < notAfterMs) return;
    this.#isEndTold = true;
    const ended = new Date(notAfterMs).toISOString();
    log.error("the certificate of the public web has expired: renew it", { path: paths.certificate, ended });
  }
}

function warnOfExposure({ exposure }: StoredPair, log: Log): void {
  if (exposure !== undefined) log.warn(`${exposure.found}: it is taken, since this user cannot change it`, { fix: exposure.fix });
}
