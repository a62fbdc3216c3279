import { decodeBundle, encodeBundle, REFRESH_HINT_SECONDS_MAX, type TrustBundle } from "../../protocols/bundle/bundle.ts";
import { equal } from "../../protocols/lib/bytes.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { Authority, AuthorityFiles, CertificateIssuer, StoredAuthorities } from "../ports/certificates.ts";
import type { Clock } from "../ports/clock.ts";
import { CredentialsError } from "../ports/credentials.ts";
import type { Log } from "../ports/log.ts";
import { BACKDATE_MS, planAuthorities, PUBLISHED_SHARE_MIN, type AuthoritySpan } from "./rotation.ts";

export interface KeptAuthority extends AuthoritySpan {
  readonly authority: Authority;
}

export interface AuthorityKeeperOptions {
  readonly files: AuthorityFiles;
  readonly issuer: CertificateIssuer;
  readonly svidLifetimeMs: number;
  readonly authorityLifetimeMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** How often others may look for a new bundle between the publication of an authority and its first use. */
const LOOKS_BEFORE_USE = 10;
const SECOND_MS = 1_000;

/** The authorities of the trust domain and the bundle that is published: it is on disk before anybody sees it, and counts up. */
export class AuthorityKeeper {
  readonly #options: AuthorityKeeperOptions;
  /** Ascending by number. */
  #authorities: readonly KeptAuthority[];
  #bundle: string;
  #published: TrustBundle;
  #nextNumber: number;

  private constructor(options: AuthorityKeeperOptions, authorities: readonly KeptAuthority[], bundle: string) {
    this.#options = options;
    this.#authorities = authorities;
    this.#bundle = bundle;
    this.#published = bundle === "" ? NOTHING_PUBLISHED : decodeBundle(bundle);
    this.#nextNumber = Math.max(this.#published.sequence, authorities.at(-1)?.number ?? 0) + 1;
  }

  /** Ends with a usable authority that is published. @throws CredentialsError */
  static async open(options: AuthorityKeeperOptions): Promise<AuthorityKeeper> {
    const stored = await options.files.read();
    const authorities: KeptAuthority[] = [];
    for (const { number, path, text } of stored.authorities) {
      const authority = await options.issuer.readAuthority(text, path);
      authorities.push({ number, authority, notBeforeMs: authority.notBeforeMs, notAfterMs: authority.notAfterMs });
    }
    const keeper = new AuthorityKeeper(options, authorities, storedBundle(stored));
    await keeper.check(() => false);
    return keeper;
  }

  get bundle(): string {
    return this.#bundle;
  }

  /** What is published and has not ended. */
  bundled(nowMs: number): readonly KeptAuthority[] {
    return this.#plan(
      nowMs,
      this.#authorities.filter((one) => this.#isPublished(one)),
    ).bundled;
  }

  /** Who signs at this time. @throws CredentialsError `not_created` where the making of an authority failed so far */
  signer(nowMs: number): KeptAuthority {
    const { signer } = this.#plan(nowMs, this.bundled(nowMs));
    if (signer !== undefined) return signer;
    throw new CredentialsError("not_created", "there is no usable certificate authority; the log says why none could be made");
  }

  /** Makes, publishes and forgets what is due; whether the bundle changed. @throws CredentialsError */
  async check(isOver: () => boolean): Promise<boolean> {
    const nowMs = this.#options.clock.now();
    if (this.#plan(nowMs, this.#authorities).needsSuccessor) await this.#makeAuthority(nowMs);
    const { bundled, retired } = this.#plan(nowMs, this.#authorities);
    const hasChanged = !isSame(bundled, this.#published.authorities);
    if (hasChanged) {
      if (isOver()) return false;
      await this.#publish(bundled);
    }
    this.#authorities = bundled;
    for (const { number } of retired) await this.#forget(number);
    return hasChanged;
  }

  #plan(nowMs: number, authorities: readonly KeptAuthority[]): ReturnType<typeof planAuthorities<KeptAuthority>> {
    return planAuthorities(nowMs, authorities, this.#options.svidLifetimeMs);
  }

  #isPublished({ authority }: KeptAuthority): boolean {
    return this.#published.authorities.some((one) => equal(one, authority.certificate));
  }

  async #makeAuthority(nowMs: number): Promise<void> {
    const { issuer, files, authorityLifetimeMs } = this.#options;
    // Counts on even when writing fails: a file that came to be in spite of that is in nobody's way.
    const number = this.#nextNumber++;
    const validity = { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + authorityLifetimeMs };
    const authority = await issuer.createAuthority(validity);
    await files.addAuthority(number, authority.pem);
    const { notBeforeMs, notAfterMs } = authority;
    this.#authorities = [...this.#authorities, { number, authority, notBeforeMs, notAfterMs }];
    this.#options.log.info("made a certificate authority", { number, ends: new Date(notAfterMs).toISOString() });
  }

  async #publish(bundled: readonly KeptAuthority[]): Promise<void> {
    const leadMs = this.#options.authorityLifetimeMs * PUBLISHED_SHARE_MIN;
    const hint = Math.floor(leadMs / LOOKS_BEFORE_USE / SECOND_MS);
    const bundle = encodeBundle({
      authorities: bundled.map(({ authority }) => authority.certificate),
      // Never below a number in use, so that a lost bundle file cannot make it restart among numbers that were published.
      sequence: Math.max(this.#published.sequence + 1, bundled.at(-1)?.number ?? 0),
      refreshHintSeconds: Math.min(Math.max(hint, 1), REFRESH_HINT_SECONDS_MAX),
    });
    await this.#options.files.writeBundle(bundle);
    this.#bundle = bundle;
    this.#published = decodeBundle(bundle);
  }

  /** A file that stays is read at the next start, and forgotten then. */
  async #forget(number: number): Promise<void> {
    try {
      await this.#options.files.removeAuthority(number);
    } catch (error) {
      this.#options.log.warn("a certificate authority that has ended could not be removed", { error, number });
    }
  }
}

const NOTHING_PUBLISHED: TrustBundle = { authorities: [], sequence: 0, refreshHintSeconds: 1 };

function isSame(authorities: readonly KeptAuthority[], published: readonly Uint8Array[]): boolean {
  const own = authorities.map(({ authority }) => authority.certificate);
  return own.length === published.length && own.every((der, index) => equal(der, published[index] as Uint8Array));
}

/** The text of the bundle that was published last; empty before the first. @throws CredentialsError `damaged` */
function storedBundle({ authorities, bundle }: StoredAuthorities): string {
  const advice = "restore it from a backup, or move the directory away: new authorities are made then";
  if (bundle === undefined) {
    // A first start that was cut short has left the first authority alone.
    if (authorities.every(({ number }) => number === 1)) return "";
    const paths = authorities.map(({ path }) => path).join(", ");
    throw new CredentialsError("damaged", `the published bundle is missing beside ${paths}; ${advice}`);
  }
  try {
    decodeBundle(bundle.text);
    return bundle.text;
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new CredentialsError("damaged", `the published bundle ${bundle.path} is damaged: ${cause.message}; ${advice}`, {
      cause,
    });
  }
}
