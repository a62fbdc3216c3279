/** Chance as the node sees it: the system's generator in production, a seeded one in the simulator. */
export interface Random {
  /** `length` unpredictable bytes (0 to 65,536). */
  bytes(length: number): Uint8Array;
  /** A number in [0, 1), for jitter and sampling; never for secrets. */
  unit(): number;
}
