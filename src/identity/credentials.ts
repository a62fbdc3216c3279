import type { AuthorityFiles, CertificateIssuer } from "../ports/certificates.ts";
import type { CancelTimer, Clock } from "../ports/clock.ts";
import { CredentialsError, type Credentials, type Svid, type SvidRequest } from "../ports/credentials.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import { AuthorityKeeper, type KeptAuthority } from "./authority-keeper.ts";
import type { RegistryIdentity } from "./registry-identity.ts";
import { BACKDATE_MS, isRenewalDue, renewalMs, type LeafSpan } from "./rotation.ts";
import { isSpiffePath, SPIFFE_ID_LENGTH_MAX } from "./spiffe-id.ts";

export const SVID_LIFETIME_MS_DEFAULT = 3_600_000;
/** Certificates count whole seconds, so less would leave no time for a renewal. */
export const SVID_LIFETIME_MS_MIN = 2_000;
export const AUTHORITY_LIFETIME_MS_DEFAULT = 604_800_000;
/** How many leaves' lives an authority lasts at least: its last quarter is the takeover. */
export const LEAVES_PER_AUTHORITY_MIN = 8;
/** Certificates for others, such as operators: they cannot be called back. */
export const ISSUED_LIFETIME_MS_MAX = 86_400_000;

/** The wall clock may jump, so what is due is looked at this often at least, and more often where leaves are short. */
export const CHECK_INTERVAL_MS_MAX = 30_000;
const CHECKS_PER_LEAF = 16;

export interface CredentialsOptions {
  readonly identity: Pick<RegistryIdentity, "trustDomain" | "name" | "spiffeId">;
  readonly files: AuthorityFiles;
  readonly issuer: CertificateIssuer;
  /** DNS names and IP addresses for the leaf, asked at every check: a change makes a new leaf. */
  readonly names: () => readonly string[];
  /** SVID_LIFETIME_MS_DEFAULT by default. */
  readonly svidLifetimeMs?: number;
  /** AUTHORITY_LIFETIME_MS_DEFAULT by default. */
  readonly authorityLifetimeMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * The registry's certificates, kept alive until `close`: authorities from the files, a new one where none is usable; the leaf's
 * key stays in memory. A renewal that fails is logged and tried again at the next check, while the old leaf lasts.
 * @throws CredentialsError
 */
export async function openCredentials(options: CredentialsOptions): Promise<Credentials> {
  const { svidLifetimeMs = SVID_LIFETIME_MS_DEFAULT, authorityLifetimeMs = AUTHORITY_LIFETIME_MS_DEFAULT } = options;
  checkLifetimes(svidLifetimeMs, authorityLifetimeMs);
  const authorities = await AuthorityKeeper.open({ ...options, svidLifetimeMs, authorityLifetimeMs });
  const leaf = await newLeaf(options, authorities, svidLifetimeMs);
  return new LivingCredentials({ ...options, svidLifetimeMs }, authorities, leaf);
}

interface Leaf {
  readonly svid: Svid;
  readonly span: LeafSpan;
  readonly names: readonly string[];
}

type LivingOptions = CredentialsOptions & { readonly svidLifetimeMs: number };
type What = "svid" | "bundle";

class LivingCredentials implements Credentials {
  readonly #options: LivingOptions;
  readonly #authorities: AuthorityKeeper;
  readonly #listeners = new Set<(what: What) => void>();
  #leaf: Leaf;
  #isClosed = false;
  #cancel: CancelTimer = () => undefined;

  constructor(options: LivingOptions, authorities: AuthorityKeeper, leaf: Leaf) {
    this.#options = options;
    this.#authorities = authorities;
    this.#leaf = leaf;
    this.#wait();
  }

  svid(): Svid {
    return this.#leaf.svid;
  }

  bundle(): string {
    return this.#authorities.bundle;
  }

  onChange(listener: (what: What) => void): () => void {
    // A function of its own, so that a listener that is given twice ends twice.
    const own = (what: What): void => listener(what);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  async issue({ path, lifetimeMs }: SvidRequest): Promise<Svid> {
    const { identity, clock, issuer } = this.#options;
    const problem = issueProblem(path, lifetimeMs, identity.trustDomain);
    if (problem !== undefined) throw new CredentialsError("invalid", problem);
    const nowMs = clock.now();
    const validity = { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + lifetimeMs };
    return issuer.createLeaf(this.#authorities.signer(nowMs).authority, { ...validity, path, names: [] });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
    this.#listeners.clear();
  }

  #wait(): void {
    const delayMs = Math.min(CHECK_INTERVAL_MS_MAX, this.#options.svidLifetimeMs / CHECKS_PER_LEAF);
    this.#cancel = this.#options.clock.after(delayMs, () => void this.#check());
  }

  async #check(): Promise<void> {
    await this.#tried("the next certificate authority could not be made", async () => {
      if (await this.#authorities.check(() => this.#isClosed)) this.#tell("bundle");
    });
    await this.#tried("the certificate could not be renewed", async () => {
      if (await this.#renew()) this.#tell("svid");
    });
    if (!this.#isClosed) this.#wait();
  }

  /** Whether there is a new leaf. */
  async #renew(): Promise<boolean> {
    const names = this.#options.names();
    const hasSameNames = names.length === this.#leaf.names.length && names.every((name, i) => name === this.#leaf.names[i]);
    const nowMs = this.#options.clock.now();
    if (hasSameNames && !isRenewalDue(nowMs, this.#leaf.span, this.#authorities.bundled(nowMs))) return false;
    const leaf = await newLeaf(this.#options, this.#authorities, this.#options.svidLifetimeMs);
    if (this.#isClosed) return false;
    this.#leaf = leaf;
    return true;
  }

  async #tried(failure: string, step: () => Promise<void>): Promise<void> {
    if (this.#isClosed) return;
    try {
      await step();
    } catch (error) {
      const { notAfterMs } = this.#leaf.svid;
      const level = this.#options.clock.now() < notAfterMs ? "warn" : "error";
      this.#options.log[level](failure, { error, certificateEnds: new Date(notAfterMs).toISOString() });
    }
  }

  #tell(what: What): void {
    for (const listener of this.#listeners) {
      try {
        listener(what);
      } catch (error) {
        this.#options.log.error("a listener to certificate changes failed", { error, what });
      }
    }
  }
}

async function newLeaf(
  { issuer, identity, names, clock, random }: CredentialsOptions,
  authorities: AuthorityKeeper,
  lifetimeMs: number,
): Promise<Leaf> {
  const nowMs = clock.now();
  const signer: KeptAuthority = authorities.signer(nowMs);
  const given = [...names()];
  const path = identity.spiffeId.slice(`spiffe://${identity.trustDomain}`.length);
  const validity = { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + lifetimeMs };
  const svid = await issuer.createLeaf(signer.authority, { ...validity, path, names: given });
  return { svid, names: given, span: { ...svid, signer: signer.number, renewAtMs: renewalMs(svid, random.unit()) } };
}

function checkLifetimes(svidLifetimeMs: number, authorityLifetimeMs: number): void {
  if (!(svidLifetimeMs >= SVID_LIFETIME_MS_MIN)) {
    throw new CredentialsError("invalid", `a certificate lasts at least ${SVID_LIFETIME_MS_MIN} ms, not ${svidLifetimeMs}`);
  }
  if (!(authorityLifetimeMs >= svidLifetimeMs * LEAVES_PER_AUTHORITY_MIN)) {
    const message = `an authority lasts at least ${LEAVES_PER_AUTHORITY_MIN} times as long as its certificates`;
    throw new CredentialsError("invalid", `${message}: not ${authorityLifetimeMs} ms for ${svidLifetimeMs} ms`);
  }
}

function issueProblem(path: string, lifetimeMs: number, trustDomain: string): string | undefined {
  const shown = JSON.stringify(path.slice(0, SPIFFE_ID_LENGTH_MAX));
  if (!isSpiffePath(path) || `spiffe://${trustDomain}${path}`.length > SPIFFE_ID_LENGTH_MAX) {
    return `${shown} is not the path of a SPIFFE ID: give segments of letters, digits, ".", "-" and "_", as in /operator/alice`;
  }
  if (path.split("/")[1] === "registry") return `${shown} names a registry; give another first segment, as in /operator/alice`;
  if (lifetimeMs >= SVID_LIFETIME_MS_MIN && lifetimeMs <= ISSUED_LIFETIME_MS_MAX) return undefined;
  return `a certificate is issued for ${SVID_LIFETIME_MS_MIN} to ${ISSUED_LIFETIME_MS_MAX} ms, not ${lifetimeMs}`;
}
