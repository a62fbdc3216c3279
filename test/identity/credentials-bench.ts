import { X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateIssuer } from "../../src/adapters/certificates/issuer.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { tlsFiles } from "../../src/adapters/system/tls-files.ts";
import { openCredentials, type CredentialsOptions } from "../../src/identity/credentials.ts";
import { createRegistryIdentity, type RegistryIdentity } from "../../src/identity/registry-identity.ts";
import { checkSvid, type PeerSvid } from "../../src/identity/svid.ts";
import { CredentialsError, type Credentials, type CredentialsErrorCode, type Svid } from "../../src/ports/credentials.ts";
import { memoryLog, VirtualClock } from "../actors/virtual-time.ts";

export const HOUR = 3_600_000;
export const DAY: number = 24 * HOUR;
export const identity: RegistryIdentity = createRegistryIdentity(Buffer.alloc(32, 9), "tokyo");

/** Credentials over real files, at a time of their own. */
export class CredentialsBench {
  directory = "";
  clock: VirtualClock = new VirtualClock();
  log: ReturnType<typeof memoryLog> = memoryLog();
  #open: Credentials[] = [];

  async prepare(): Promise<void> {
    this.directory = await mkdtemp(join(tmpdir(), "registry-tls-"));
    this.clock = new VirtualClock();
    this.log = memoryLog();
    this.#open = [];
  }

  async remove(): Promise<void> {
    for (const one of this.#open) one.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  readonly start = async (options: Partial<CredentialsOptions> = {}): Promise<Credentials> => {
    const random = systemRandom();
    const issuer = certificateIssuer(identity.trustDomain, random);
    const names = (): readonly string[] => ["tokyo.example", "127.0.0.1"];
    const { clock, log } = this;
    const credentials = await openCredentials({
      ...{ identity, files: tlsFiles(this.directory), issuer, names, clock, random, log, ...options },
    });
    this.#open.push(credentials);
    return credentials;
  };

  /** Lets time pass, and the check that this starts come to its end. */
  readonly pass = async (ms: number): Promise<void> => {
    this.clock.advance(ms);
    while (this.clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
  };

  readonly check = (credentials: Credentials, svid: Svid = credentials.svid(), nowMs: number = this.clock.now()): PeerSvid => {
    const der = new X509Certificate(svid.certificate).raw;
    return checkSvid([der], { did: identity.did, bundle: credentials.bundle() }, nowMs);
  };

  readonly tls = (name: string = ""): string => join(this.directory, "tls", name);

  closeNewest(): void {
    this.#open.pop()?.close();
  }
}

/** A bench that is new for each test of the suite that asks for it. */
export function useCredentials(): CredentialsBench {
  const bench = new CredentialsBench();
  beforeEach(() => bench.prepare());
  afterEach(() => bench.remove());
  return bench;
}

export function isCode(code: CredentialsErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof CredentialsError && error.code === code;
}
