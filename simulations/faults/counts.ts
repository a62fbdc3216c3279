/** Everything that is done to a federation, as it is counted. */
export const FAULT_KINDS = [
  "lost",
  "doubled",
  "reordered",
  "reset",
  "partition",
  "asymmetricPartition",
  "killed",
  "powerCut",
  "killedAtWrite",
  "powerCutAtWrite",
  "clockJump",
  "slowWrite",
  "failedWrite",
  "bitRot",
  "restored",
  "restoredKeyOnly",
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];
export type FaultCounts = Readonly<Record<FaultKind, number>>;

export class FaultCounter {
  readonly #counts: Record<FaultKind, number> = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<
    FaultKind,
    number
  >;

  count(kind: FaultKind): void {
    this.#counts[kind]++;
  }

  totals(): FaultCounts {
    return { ...this.#counts };
  }
}

export function sumCounts(all: readonly FaultCounts[]): FaultCounts {
  const sum = new FaultCounter().totals() as Record<FaultKind, number>;
  for (const counts of all) for (const kind of FAULT_KINDS) sum[kind] += counts[kind];
  return sum;
}
