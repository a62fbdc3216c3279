/**
 * An ordered, reliable, two-way channel of whole frames: what a contract's `client.ts` and `handler.ts` speak over, so that
 * they know neither libp2p nor HTTP nor the simulator.
 */
export interface Frames {
  /**
   * Sends one frame of 1 to FRAME_BYTES_MAX bytes. Resolves when the channel can take more (back-pressure), not when the peer
   * has read it. Rejects with `FramesError` after close or abort.
   */
  send(frame: Uint8Array): Promise<void>;
  /** The next frame, or `undefined` after the peer closed cleanly. Rejects with `FramesError` when the channel broke. */
  receive(): Promise<Uint8Array | undefined>;
  /** Ends our side cleanly; frames already sent still arrive. */
  close(): Promise<void>;
  /** Drops the channel at once; both sides see `FramesError`. Safe to call twice. */
  abort(reason: Error): void;
}

/** The longest frame that any contract may send, in bytes. A longer announced length breaks the channel before it is read. */
export const FRAME_BYTES_MAX: number = 1_048_576;

export type FramesErrorCode =
  /** The channel was reset by the peer or the network. */
  | "reset"
  /** Closed or aborted on our side. */
  | "closed"
  /** The peer announced a frame longer than FRAME_BYTES_MAX, or an empty one. */
  | "frame_size"
  /** The peer closed in the middle of a frame. */
  | "truncated"
  /** A deadline passed. */
  | "timeout";

export class FramesError extends Error {
  override readonly name = "FramesError";
  readonly code: FramesErrorCode;

  constructor(code: FramesErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
