import type { Connection } from "./connections.ts";
import { RECOGNITION_MS } from "./limits.ts";
import { ProblemError } from "./problem.ts";
import { problemOf } from "./refusals.ts";
import type { Services } from "./services.ts";

interface Recognised {
  readonly untilMs: number;
  readonly did: Promise<string | undefined>;
}

/**
 * Whose connections come first: those of registries that the operator named, and of this trust domain itself. The handshake has
 * proved the certificate's key, so that nothing of a request has to be read, and none needs a signature to be checked.
 */
export class Recognition {
  readonly #services: Services;
  /** What nobody named costs one look at its certificate in this time, however much it asks. */
  readonly #recognised = new WeakMap<Connection, Recognised>();

  constructor(services: Services) {
    this.#services = services;
  }

  /** @returns the DID of the registry whose certificate it is; `undefined` for a stranger's, one that does not hold, or none */
  async recognise(connection: Connection): Promise<string | undefined> {
    const { certificate } = connection;
    if (certificate === undefined) return undefined;
    const nowMs = this.#services.context.clock.monotonic();
    const before = this.#recognised.get(connection);
    if (before !== undefined && nowMs < before.untilMs) return before.did;
    const recognised = { untilMs: nowMs + RECOGNITION_MS, did: this.#look(connection, certificate, before?.did) };
    this.#recognised.set(connection, recognised);
    return recognised.did;
  }

  async #look(
    connection: Connection,
    certificate: Uint8Array,
    before?: Promise<string | undefined>,
  ): Promise<string | undefined> {
    try {
      const { identities } = this.#services;
      const did = identities.claimed(certificate);
      const bundle = await this.#wantedBundle(did);
      if (bundle === undefined) return undefined;
      identities.check(connection, did, bundle);
      return did;
    } catch (error) {
      // Whatever is wrong with it is told where it is needed.
      if (error instanceof ProblemError) return undefined;
      if (problemOf(error) === undefined) throw error;
      // A node that is too busy to say whom the operator named has not forgotten them.
      return before;
    }
  }

  async #wantedBundle(did: string): Promise<string | undefined> {
    const { identity, credentials, node } = this.#services.context;
    if (did === identity.did) return credentials.bundle();
    const known = await node.knownRegistry(did);
    return known?.isWanted === true && !known.isolated ? known.bundle : undefined;
  }
}
