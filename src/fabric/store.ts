/**
 * The process's memory store and heap images: the native addon, with its errors as classes. Regions are ranges of slabs;
 * whoever uses one holds a reference (docs/fabric.md).
 */
import { native, type Native, type Space, type SpaceOptions } from "./native.ts";

export type { OpenedImage, Space } from "./native.ts";

export const store: Native = native;

/** The mappings of one sandbox's linear memory, which `memory` views whole. */
export function createSpace(memory: Uint8Array, options: SpaceOptions): Space {
  return native.spaceCreate(memory, options);
}
