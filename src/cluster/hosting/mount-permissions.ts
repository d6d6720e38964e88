/** Which folders of the server's machine functions may be given: those that it was started with, and what lies below. */
import { realpathSync } from "node:fs";
import { resolve, sep } from "node:path";
import { BadInput, SandloomError } from "../../graph/errors.ts";
import type { Mount } from "../api.ts";
import { checkedMounts } from "../run-input.ts";

const realOf = (path: string): string | undefined => {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
};

const isBelow = (path: string | undefined, folder: string): boolean =>
  folder === sep || path === folder || (path?.startsWith(folder + sep) ?? false);

export class MountPermissions {
  readonly #allowed: readonly string[];

  readonly #own: string;

  /** `own`: the server's own folder, with its secrets, which nobody is given. @throws BadInput for a folder that is not there */
  constructor(allowed: readonly string[], own: string) {
    this.#own = realpathSync(own);
    checkedMounts(allowed.map((host) => ({ host, guest: "/allowed" })));
    this.#allowed = allowed.map((folder) => realpathSync(resolve(folder)));
  }

  /**
   * Checked where the path leads now, and given as that: a link may lead elsewhere by the next time.
   *
   * @throws BadInput for what is no folder, or no place for one; SandloomError "Forbidden" for one that may not be given
   */
  check(mounts: readonly Mount[]): Mount[] {
    const found = mounts.map(({ host, guest }) => {
      // Before anything is said of what is there: whoever deploys must not learn what the machine has.
      const real = realOf(host);
      const allowed = this.#allowed.some((folder) => isBelow(real, folder));
      if (real === undefined || !allowed || isBelow(real, this.#own) || isBelow(this.#own, real))
        throw new SandloomError(
          "Forbidden",
          `the folder ${host} may not be given to functions, or is not there: the server is started with --allow-mount for it, or for one above`,
          { host },
        );
      const inside = mounts.find((other) => other.guest !== guest && other.guest.startsWith(`${guest}/`));
      if (inside || mounts.filter((other) => other.guest === guest).length > 1)
        throw new BadInput(`two folders cannot be mounted at ${guest}, nor one inside the other`, { guest });
      return { host: real, guest };
    });
    return checkedMounts(found);
  }
}
