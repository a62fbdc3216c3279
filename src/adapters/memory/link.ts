/** How the paths between machines behave. The simulator draws its answers from a seed; `directLink` is a perfect network. */
export interface Link {
  /**
   * What the ordered, reliable path (connections, streams, pings) does with `bytes` handed to it now: the delay in milliseconds
   * after which they arrive, or `undefined` while the path is cut and they must be sent again.
   */
  ordered(from: string, to: string, bytes: number): number | undefined;
  /** Delays of the copies of one gossip message that arrive: none when it is lost, two when it is doubled. */
  gossip(from: string, to: string, bytes: number): readonly number[];
}

export const directLink: Link = { ordered: () => 0, gossip: () => [0] };

/** What goes over the wire, for those who count, check or hash it. Peers are named by peer id. */
export interface WireEvent {
  readonly stage: "sent" | "delivered";
  readonly type: "frame" | "gossip" | "control";
  readonly from: string;
  readonly to: string;
  /** The frame or message; control messages have none. */
  readonly bytes: Uint8Array | undefined;
}
