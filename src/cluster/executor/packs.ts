/** The packs of wheels that an executor has open, for its sandboxes to read from. */
import { closeSync, openSync } from "node:fs";
import { BadImage } from "../../graph/errors.ts";
import type { PackMount } from "../../sandbox/messages.ts";

export class Packs {
  #next = 0;

  /** @throws BadImage for a file that is gone */
  open(path: string, image: string): PackMount {
    try {
      return { id: this.#next++, fd: openSync(path, "r") };
    } catch (error) {
      throw new BadImage(`the packages of ${image} cannot be opened: ${(error as Error).message}`, { image });
    }
  }

  /** Nobody reads from it any more. A sandbox that has it mounted mounts another before it runs something else. */
  close({ fd }: PackMount): void {
    closeSync(fd);
  }
}
