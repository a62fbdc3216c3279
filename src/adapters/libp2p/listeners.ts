import type { Transport } from "@libp2p/interface";
import { tcp } from "@libp2p/tcp";
import type { Multiaddr } from "@multiformats/multiaddr";
import { NetworkError } from "../../ports/network.ts";
import { parseAddress, portOf, withPort } from "./addresses.ts";

/** TCP listeners that remember what was bound and why a bind failed, which libp2p puts into one text for all of them. */
export class Listeners {
  readonly wanted: readonly string[];
  #bound: string[] = [];
  #failed: { readonly address: string; readonly error: Error } | undefined;

  /** @throws NetworkError `address_invalid` */
  constructor(listen: readonly string[]) {
    this.wanted = listen.map((text) => parseAddress(text).host.toString());
  }

  bound(): string[] {
    return [...this.#bound];
  }

  clear(): void {
    this.#bound = [];
    this.#failed = undefined;
  }

  /** The reason for which starting failed, in the port's terms. */
  failure(cause: unknown): NetworkError {
    if (this.#failed === undefined) {
      return new NetworkError("unreachable", `the network could not start: ${(cause as Error).message}`, { cause });
    }
    const { address, error } = this.#failed;
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") {
      const message = `${address} is in use by another process; stop it, or listen on another port`;
      return new NetworkError("address_in_use", message, { cause: error });
    }
    return new NetworkError("address_invalid", `cannot listen on ${address}: ${error.message}`, { cause: error });
  }

  /** The transport factory for libp2p. */
  readonly transport = (components: Parameters<ReturnType<typeof tcp>>[0]): Transport => {
    // Frames are whole writes, so waiting for more (Nagle) would only delay the last piece of each.
    const transport = tcp({ dialOpts: { noDelay: true }, listenOpts: { noDelay: true } })(components);
    const createListener = transport.createListener.bind(transport);
    transport.createListener = (options) => {
      const listener = createListener(options);
      const listen = listener.listen.bind(listener);
      const addEventListener: typeof listener.addEventListener = listener.addEventListener.bind(listener);
      // At a listener's end libp2p would write its addresses to the peer store a second later, when the store may be closed.
      listener.addEventListener = (type, ...rest) => (type === "close" ? undefined : addEventListener(type, ...rest));
      listener.listen = (address) =>
        this.#listen(
          address,
          () => listen(address),
          () => listener.getAddrs(),
        );
      return listener;
    };
    return transport;
  };

  async #listen(address: Multiaddr, listen: () => Promise<void>, resolved: () => Multiaddr[]): Promise<void> {
    try {
      await listen();
    } catch (error) {
      this.#failed ??= { address: address.toString(), error: error as Error };
      throw error;
    }
    const [first] = resolved();
    this.#bound.push(first === undefined ? address.toString() : withPort(address, portOf(first)));
  }
}
