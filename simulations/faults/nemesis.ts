import type { SeededRandom } from "../engine/random.ts";
import type { Federation } from "../federation/federation.ts";
import type { Machine } from "../federation/machine.ts";
import type { FaultKind } from "./counts.ts";
import { rotOn } from "./rot.ts";

/** A crash at a write strikes within this many writes of the machine. */
const WRITES_BEFORE_CRASH_MAX = 20;
/** A process that was killed for the rot on its disk, or whose disk was replaced, is back after about this, in milliseconds. */
const REPLACED_MS_MEAN = 2_000;

/** Does to a federation what the plan says, at times drawn from the seed, until it is told to heal everything. */
export class Nemesis {
  readonly #federation: Federation;
  readonly #random: SeededRandom;
  #healed = false;

  constructor(federation: Federation) {
    this.#federation = federation;
    this.#random = federation.simulation.random.fork("nemesis");
  }

  start(): void {
    const { network, partitions, crashes, clocks, rot, restores } = this.#federation.faults;
    this.#every(network.resetEveryMs, "resets", (random) => this.#reset(random));
    this.#every(partitions.everyMs, "partitions", (random) => this.#partition(random));
    this.#every(crashes.everyMs, "crashes", (random) => this.#crash(random));
    this.#every(clocks.jumpEveryMs, "clocks", (random) => this.#jump(random));
    this.#every(rot.everyMs, "rot", (random) => this.#rot(random));
    this.#every(restores.everyMs, "restores", (random) => this.#backUp(random));
  }

  /** Ends all faults: paths, disks and clocks are right again, and every machine that was ever started runs. */
  async heal(): Promise<void> {
    this.#healed = true;
    this.#note("heal");
    const { link, machines } = this.#federation;
    link.heal();
    for (const machine of machines) {
      machine.disk.heal();
      machine.wall.set(0);
    }
    await Promise.all(machines.filter((machine) => machine.runs > 0).map((machine) => machine.start()));
  }

  #every(meanMs: number, name: string, strike: (random: SeededRandom) => void): void {
    if (meanMs === 0) return;
    const random = this.#random.fork(name);
    const next = (): void => {
      this.#federation.simulation.after(random.exponential(meanMs), () => {
        if (this.#healed) return;
        strike(random);
        next();
      });
    };
    next();
  }

  #reset(random: SeededRandom): void {
    const { running } = this.#federation;
    if (running.length === 0) return;
    const machine = random.pick(running);
    const peers = machine.network?.connected() ?? [];
    if (peers.length === 0) return;
    const peerId = random.pick(peers);
    this.#count("reset", `${machine.name} ${this.#federation.nameOf(peerId)}`);
    void machine.network?.disconnect(peerId);
  }

  #partition(random: SeededRandom): void {
    const { link, machines, simulation } = this.#federation;
    const { asymmetricShare, lastsMs, resetShare } = this.#federation.faults.partitions;
    const minority = new Set(
      random
        .shuffle(machines)
        .slice(0, random.integer(1, Math.max(1, Math.floor(machines.length / 2))))
        .map((machine) => machine.peerId),
    );
    const asymmetric = random.chance(asymmetricShare);
    const crosses = (from: string, to: string): boolean =>
      asymmetric ? minority.has(from) && !minority.has(to) : minority.has(from) !== minority.has(to);
    this.#count(asymmetric ? "asymmetricPartition" : "partition", `${minority.size} of ${machines.length}`);
    link.cut(crosses);
    if (random.chance(resetShare)) this.#resetCut(crosses);
    simulation.after(random.exponential(lastsMs), () => {
      // A later partition has replaced this one, or all is healed: then there is nothing left to take back.
      if (!this.#healed) link.uncut(crosses);
    });
  }

  #resetCut(crosses: (from: string, to: string) => boolean): void {
    for (const { network, peerId } of this.#federation.running) {
      for (const other of network?.connected() ?? []) {
        if (crosses(peerId, other) || crosses(other, peerId)) void network?.disconnect(other);
      }
    }
  }

  #crash(random: SeededRandom): void {
    const { running, simulation } = this.#federation;
    const { atWriteShare, downMs, powerCutShare } = this.#federation.faults.crashes;
    if (running.length === 0) return;
    const machine = random.pick(running);
    const powerCut = random.chance(powerCutShare);
    const atWrite = random.chance(atWriteShare);
    const backAfterMs = random.exponential(downMs);
    const strike = (kind: FaultKind): void => {
      this.#count(kind, machine.name);
      machine.crash({ powerCut });
      simulation.after(backAfterMs, () => this.#restart(machine));
    };
    if (!atWrite) {
      strike(powerCut ? "powerCut" : "killed");
      return;
    }
    const afterWrites = random.integer(0, WRITES_BEFORE_CRASH_MAX);
    machine.disk.crashAtWrite({ afterWrites, crash: () => strike(powerCut ? "powerCutAtWrite" : "killedAtWrite") });
  }

  #restart(machine: Machine): void {
    if (this.#healed) return;
    this.#note(`restart ${machine.name}`);
    // A node that refuses to start is found by the liveness phase, which starts every machine and reports the error.
    machine.start().catch(() => undefined);
  }

  #jump(random: SeededRandom): void {
    const { machines } = this.#federation;
    const { jumpMsMax } = this.#federation.faults.clocks;
    const machine = random.pick(machines);
    const offsetMs = Math.round(random.between(-jumpMsMax, jumpMsMax));
    this.#count("clockJump", `${machine.name} ${offsetMs}`);
    machine.wall.set(offsetMs);
  }

  #rot(random: SeededRandom): void {
    const { machines, simulation } = this.#federation;
    const { target, restartShare } = this.#federation.faults.rot;
    const machine = random.pick(machines);
    const restarts = random.chance(restartShare);
    const backAfterMs = random.exponential(REPLACED_MS_MEAN);
    const row = rotOn(machine, this.#federation, target, random);
    if (row === undefined) return;
    this.#count("bitRot", row);
    if (!restarts || machine.node === undefined) return;
    this.#count("killed", machine.name);
    machine.crash({ powerCut: false });
    simulation.after(backAfterMs, () => this.#restart(machine));
  }

  /** Makes a copy of a disk, and puts it back later: the machine then does not know what it signed in between (T53). */
  #backUp(random: SeededRandom): void {
    const { machines, simulation } = this.#federation;
    const { ageMs, keyOnlyShare } = this.#federation.faults.restores;
    const machine = random.pick(machines);
    const backup = random.chance(keyOnlyShare) ? undefined : machine.backup();
    const backAfterMs = random.exponential(REPLACED_MS_MEAN);
    simulation.after(random.exponential(ageMs), () => {
      if (this.#healed) return;
      this.#count(backup === undefined ? "restoredKeyOnly" : "restored", machine.name);
      machine.restore(backup);
      simulation.after(backAfterMs, () => this.#restart(machine));
    });
  }

  #count(kind: FaultKind, detail: string): void {
    this.#federation.counter.count(kind);
    this.#note(`${kind} ${detail}`);
  }

  #note(text: string): void {
    const { simulation } = this.#federation;
    simulation.trace.record(simulation.nowMs, "fault", "nemesis", text);
  }
}
