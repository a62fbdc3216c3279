import { BODIES_BYTES_MAX, BODIES_BYTES_PER_ADDRESS_MAX, BODIES_BYTES_RESERVED, BODY_COST_BYTES } from "./limits.ts";
import { Tally } from "./tally.ts";

/** Whose body it is. */
export interface BodySender {
  /** As of `AddressKeys.single`. */
  readonly addressKey: string;
  /** Whether the operator named it, or it is the operator. */
  readonly isWanted: boolean;
}

/** Room for one body, from its first byte until its request was answered. */
export interface BodyRoom {
  /** Takes room for `bytes` more. @returns whether there was any; otherwise nothing is taken */
  take(bytes: number): boolean;
  /** Gives all of it back, once. */
  release(): void;
}

/**
 * The bodies that are being received or served: bounded in bytes, for each address and in all. A body that only began counts,
 * too, since its stream costs us. Strangers leave a part to those whom the operator named, who are counted apart from them: they
 * may share an address.
 */
export class HeldBodies {
  readonly #ofSender = new Tally();
  #bytes = 0;

  open({ addressKey, isWanted }: BodySender): BodyRoom {
    const sender = `${isWanted} ${addressKey}`;
    const bytesMax = isWanted ? BODIES_BYTES_MAX : BODIES_BYTES_MAX - BODIES_BYTES_RESERVED;
    let taken = 0;
    return {
      take: (bytes) => {
        const more = taken === 0 ? bytes + BODY_COST_BYTES : bytes;
        if (this.#bytes + more > bytesMax || this.#ofSender.of(sender) + more > BODIES_BYTES_PER_ADDRESS_MAX) return false;
        this.#count(sender, more);
        taken += more;
        return true;
      },
      release: () => {
        this.#count(sender, -taken);
        taken = 0;
      },
    };
  }

  #count(sender: string, bytes: number): void {
    this.#bytes += bytes;
    this.#ofSender.add(sender, bytes);
  }
}
