import type { SeededRandom } from "../engine/random.ts";

/** What goes wrong in a run: plain data, drawn from the seed and printed. Times in milliseconds, rates and shares from 0 to 1. */
export interface FaultPlan {
  readonly network: NetworkFaults;
  readonly partitions: PartitionFaults;
  readonly crashes: CrashFaults;
  readonly clocks: ClockFaults;
  readonly disks: DiskFaults;
  readonly rot: RotFaults;
  readonly restores: RestoreFaults;
}

export interface NetworkFaults {
  /** Each direction of each pair has a base delay of its own, up to this. */
  readonly baseDelayMsMax: number;
  /** Mean of what is added to it for each packet. */
  readonly jitterMsMean: number;
  readonly lossRate: number;
  readonly duplicateRate: number;
  /** Share of gossip messages that arrive up to REORDER_MS_MAX late. */
  readonly reorderRate: number;
  /** Mean time between two resets of some connection; 0 for never. */
  readonly resetEveryMs: number;
}

export interface PartitionFaults {
  /** Mean time between two partitions; 0 for never. */
  readonly everyMs: number;
  readonly lastsMs: number;
  /** Share of partitions that cut one direction only. */
  readonly asymmetricShare: number;
  /** Share of partitions that also reset the connections they cut; the others just swallow. */
  readonly resetShare: number;
}

export interface CrashFaults {
  /** Mean time between two crashes of some machine; 0 for never. */
  readonly everyMs: number;
  readonly downMs: number;
  /** Share of crashes that strike at one of the machine's next writes. */
  readonly atWriteShare: number;
  /** Share of crashes in which the power is cut: what was not durable may be lost, and peers are told nothing. */
  readonly powerCutShare: number;
}

export interface ClockFaults {
  /** Clocks are wrong by up to this from the start, either way. */
  readonly skewMsMax: number;
  /** Mean time between two jumps of some clock; 0 for never. */
  readonly jumpEveryMs: number;
  readonly jumpMsMax: number;
}

export interface DiskFaults {
  readonly writeMsMean: number;
  /** Share of machines whose writes take SLOW_FACTOR times as long. */
  readonly slowShare: number;
  readonly failureRate: number;
}

export interface RotFaults {
  /** Mean time between two strikes at some machine's disk; 0 for never. */
  readonly everyMs: number;
  /** `records`: agents of which another disk holds the same bytes, since of the last copy nothing can be saved; `replicas`: any row of a replica. */
  readonly target: "records" | "replicas";
  /** Share of strikes after which the machine's process is killed and starts again, where the rot is. */
  readonly restartShare: number;
}

export interface RestoreFaults {
  /** Mean time between two copies of some disk that are put back later; 0 for never. */
  readonly everyMs: number;
  /** Mean age of a copy when it is put back. */
  readonly ageMs: number;
  /** Share of restores in which the disk is lost and only the key was saved. */
  readonly keyOnlyShare: number;
}

/** How late a reordered gossip message may be, in milliseconds. */
export const REORDER_MS_MAX = 2_000;
export const SLOW_FACTOR = 50;

export type FaultFamily = keyof FaultPlan;

/** Draws the severity of each family; families that are not named stay at their mildest. */
export function drawFaults(random: SeededRandom, families: readonly FaultFamily[]): FaultPlan {
  const has = (family: FaultFamily): boolean => families.includes(family);
  // A fork for each family: a new option of one changes no run of the others.
  const of = (family: FaultFamily): SeededRandom => random.fork(family);
  return {
    network: drawNetwork(of("network"), has("network")),
    partitions: drawPartitions(of("partitions"), has("partitions")),
    crashes: drawCrashes(of("crashes"), has("crashes")),
    clocks: drawClocks(of("clocks"), has("clocks")),
    disks: drawDisks(of("disks"), has("disks")),
    rot: drawRot(of("rot"), has("rot")),
    restores: drawRestores(of("restores"), has("restores")),
  };
}

function drawNetwork(random: SeededRandom, on: boolean): NetworkFaults {
  return {
    baseDelayMsMax: rounded(random.between(1, on ? 150 : 20)),
    jitterMsMean: rounded(random.between(0.1, on ? 40 : 2)),
    lossRate: on ? rounded(random.between(0, 0.3)) : 0,
    duplicateRate: on ? rounded(random.between(0, 0.2)) : 0,
    reorderRate: on ? rounded(random.between(0, 0.3)) : 0,
    resetEveryMs: on && random.chance(0.7) ? random.integer(2_000, 20_000) : 0,
  };
}

function drawPartitions(random: SeededRandom, on: boolean): PartitionFaults {
  return {
    everyMs: on ? random.integer(2_000, 8_000) : 0,
    lastsMs: random.integer(1_000, 25_000),
    asymmetricShare: rounded(random.unit()),
    resetShare: rounded(random.unit()),
  };
}

function drawCrashes(random: SeededRandom, on: boolean): CrashFaults {
  return {
    everyMs: on ? random.integer(1_500, 10_000) : 0,
    downMs: random.integer(200, 10_000),
    atWriteShare: rounded(random.unit()),
    powerCutShare: rounded(random.unit()),
  };
}

function drawClocks(random: SeededRandom, on: boolean): ClockFaults {
  return {
    skewMsMax: random.integer(0, on ? 20_000 : 500),
    jumpEveryMs: on && random.chance(0.6) ? random.integer(5_000, 20_000) : 0,
    jumpMsMax: random.pick([1_000, 30_000, 600_000]),
  };
}

function drawDisks(random: SeededRandom, on: boolean): DiskFaults {
  return {
    writeMsMean: rounded(random.between(0.05, on ? 5 : 1)),
    slowShare: on ? rounded(random.between(0, 0.3)) : 0,
    failureRate: on && random.chance(0.6) ? rounded(random.between(0, 0.05)) : 0,
  };
}

function drawRot(random: SeededRandom, on: boolean): RotFaults {
  return {
    everyMs: on ? random.integer(500, 4_000) : 0,
    target: random.pick(["records", "replicas"]),
    restartShare: rounded(random.between(0, 0.3)),
  };
}

function drawRestores(random: SeededRandom, on: boolean): RestoreFaults {
  return {
    everyMs: on ? random.integer(4_000, 15_000) : 0,
    ageMs: random.integer(1_000, 15_000),
    keyOnlyShare: rounded(random.unit()),
  };
}

/** Three decimals: what is printed is what is used. */
function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
