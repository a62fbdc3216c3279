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
  /** The registry that a connection's certificate claims to be of; `undefined` for none that could be. */
  readonly #claims = new WeakMap<Connection, { readonly did: string | undefined }>();
  /** What nobody named costs one check of its certificate in this time, however much it asks. */
  readonly #recognised = new WeakMap<Connection, Recognised>();

  constructor(services: Services) {
    this.#services = services;
  }

  /** @returns the DID of the registry whose certificate it is; `undefined` for a stranger's, one that does not hold, or none */
  async recognise(connection: Connection): Promise<string | undefined> {
    const claimed = this.#claimed(connection);
    if (claimed === undefined) return undefined;
    const nowMs = this.#services.context.clock.monotonic();
    const before = this.#recognised.get(connection);
    if (before !== undefined && nowMs < before.untilMs) return before.did;
    const recognised = { untilMs: nowMs + RECOGNITION_MS, did: this.#look(connection, claimed, before?.did) };
    this.#recognised.set(connection, recognised);
    return recognised.did;
  }

  #claimed(connection: Connection): string | undefined {
    const { certificate } = connection;
    if (certificate === undefined) return undefined;
    const { identities } = this.#services;
    const before = this.#claims.get(connection);
    if (before !== undefined) return before.did;
    const did = tolerant(() => identities.claimed(certificate));
    this.#claims.set(connection, { did });
    return did;
  }

  async #look(connection: Connection, did: string, before?: Promise<string | undefined>): Promise<string | undefined> {
    const { identity, credentials, node } = this.#services.context;
    try {
      const known = did === identity.did ? { ...OURS, bundle: credentials.bundle() } : await node.knownRegistry(did);
      const bundle = known?.bundle;
      // It introduces itself on this connection, and is known by its next request.
      if (bundle === undefined) this.#recognised.delete(connection);
      if (bundle === undefined || known?.isWanted !== true || known.isolated) return undefined;
      return tolerant(() => this.#services.identities.check(connection, did, bundle).did);
    } catch (error) {
      if (problemOf(error) === undefined) throw error;
      // A node that is too busy to say whom the operator named has not forgotten them.
      return before;
    }
  }
}

const OURS = { isWanted: true, isolated: false };

/** `undefined` for a certificate that does not hold: what is wrong with it is told where it is needed. */
function tolerant<T>(check: () => T): T | undefined {
  try {
    return check();
  } catch (error) {
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
}
