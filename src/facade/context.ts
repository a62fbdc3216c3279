import type { RunningNode } from "../federation-api.ts";
import type { RegistryIdentity } from "../identity/registry-identity.ts";
import type { Clock } from "../ports/clock.ts";
import type { Credentials } from "../ports/credentials.ts";
import type { Log } from "../ports/log.ts";
import type { Pressure } from "../ports/pressure.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";

/** What every route may use. */
export interface FacadeContext {
  readonly node: RunningNode;
  readonly identity: RegistryIdentity;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly pressure: Pressure;
  /** For nonces and idempotency keys, under rows of the facade's own (`rows.ts`). */
  readonly store: Store;
  /** Claimed alias; `null` for none. */
  readonly domain: string | null;
  /** The `https:` origins under which others reach us: the only authorities that signed requests may name. */
  readonly urls: () => readonly string[];
  /** Of one address (IPv6: of one /64), whoever sends them. */
  readonly requestsPerAddressPerMinuteMax: number;
  /** Who presents it in `Authorization: Bearer` is the operator. */
  readonly operatorToken: string;
}
