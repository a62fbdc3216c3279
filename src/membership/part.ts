import type { MembershipOptions } from "./options.ts";
import type { MemberTable } from "./table.ts";
import type { Tasks } from "./tasks.ts";

/** What every part of the membership actor stands on. */
export abstract class MembershipPart {
  protected readonly options: MembershipOptions;
  protected readonly tasks: Tasks;
  protected readonly members: MemberTable;

  constructor(options: MembershipOptions, tasks: Tasks, members: MemberTable) {
    this.options = options;
    this.tasks = tasks;
    this.members = members;
  }
}
