import { checkSvid, claimedDid, type PeerSvid } from "../identity/svid.ts";
import { SvidError } from "../identity/svid-error.ts";
import type { Clock } from "../ports/clock.ts";
import type { Connection } from "./connections.ts";
import { ProblemError } from "./problem.ts";

/**
 * Whose certificate a connection has, checked against the bundle of that registry alone (T1). The answer is remembered for the
 * connection and asked anew when the bundle is another one (T6); it never outlives the certificate.
 */
export class PeerIdentities {
  readonly #clock: Clock;
  readonly #checked = new WeakMap<Connection, { readonly bundle: string; readonly svid: PeerSvid }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The registry that the certificate claims to be of, which proves nothing. @throws ProblemError `certificate_refused` */
  claimed(certificate: Uint8Array): string {
    return refusing(() => claimedDid([certificate]));
  }

  /** @throws ProblemError `certificate_required`, `certificate_refused` */
  check(connection: Connection, did: string, bundle: string): PeerSvid {
    const { certificate } = connection;
    if (certificate === undefined) {
      throw new ProblemError(401, "certificate_required", "no client certificate was presented; present your X509-SVID");
    }
    const nowMs = this.#clock.now();
    const known = this.#checked.get(connection);
    const holds = known?.bundle === bundle && known.svid.did === did;
    if (holds && nowMs >= known.svid.notBeforeMs && nowMs < known.svid.notAfterMs) return known.svid;
    const svid = refusing(() => checkSvid([certificate], { did, bundle }, nowMs));
    this.#checked.set(connection, { bundle, svid });
    return svid;
  }
}

function refusing<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!(cause instanceof SvidError)) throw cause;
    const detail = `the client certificate does not hold: ${cause.message}`;
    throw new ProblemError(403, "certificate_refused", detail, { cause, extra: { reason: cause.code } });
  }
}
