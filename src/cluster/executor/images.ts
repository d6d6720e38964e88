/** The heap images that an executor has open: the base, and the applications that ran last. */
import { existsSync } from "node:fs";
import { Packs } from "./packs.ts";
import { BASE } from "./protocol.ts";
import { type OpenedImage, store } from "../../fabric/store.ts";
import { BadImage, InternalError } from "../../graph/errors.ts";
import type { PackMount } from "../../sandbox/messages.ts";

/**
 * A small application's takes its own pages, half a megabyte or so, and a large one's all of an image, 60 MB and more. One that is
 * needed again is opened again, in 1 or 25 ms.
 */
const OPEN_LIMIT_BYTES = 512 * 1024 * 1024;
const OPEN_LIMIT = 1024;

/** Where an application's image is, and what else its sandboxes need. */
export interface ImageFiles {
  readonly deltaPath: string;
  /** Where the delta will be from now on, if it is about to be moved. */
  readonly keptPath?: string;
  /** Its wheels, if it requires any. */
  readonly packPath?: string;
}

interface Opened {
  readonly image: Promise<number>;
  readonly packages: PackMount | undefined;
  own_bytes: number;
}

export class Images {
  readonly #basePath: string;
  readonly #baseHash: () => Promise<string>;
  /** By the application's hash, the one that was used last at the end. */
  readonly #open = new Map<string, Opened>();
  /** How many need it, by hash. */
  readonly #holds = new Map<string, number>();
  readonly #files = new Map<string, { readonly deltaPath: string | null; readonly packPath?: string }>([
    [BASE, { deltaPath: null }],
  ]);
  readonly packs: Packs = new Packs();

  /** `baseHash`: what the content of the base must hash to. */
  constructor(basePath: string, baseHash: () => Promise<string>) {
    this.#basePath = basePath;
    this.#baseHash = baseHash;
  }

  /** Of the applications' that are open. */
  get open_bytes(): number {
    let bytes = 0;
    for (const [hash, { own_bytes }] of this.#open) if (hash !== BASE) bytes += own_bytes;
    return bytes;
  }

  async add(hash: string, files: ImageFiles): Promise<number> {
    this.#files.set(hash, files);
    const image = await this.#of(hash);
    this.#files.set(hash, { ...files, deltaPath: files.keptPath ?? files.deltaPath });
    return image;
  }

  /** The wheels of an image that is held. */
  packagesOf(hash: string): PackMount | undefined {
    return this.#open.get(hash)?.packages;
  }

  /** Does something with an image that stays open meanwhile. */
  async using<T>(hash: string, work: (image: number) => Promise<T>): Promise<T> {
    const image = await this.hold(hash);
    try {
      return await work(image);
    } finally {
      this.release(hash);
    }
  }

  /** Keeps an image open until {@link release}. */
  async hold(hash: string): Promise<number> {
    this.#holds.set(hash, (this.#holds.get(hash) ?? 0) + 1);
    try {
      return await this.#of(hash);
    } catch (error) {
      this.release(hash);
      throw error;
    }
  }

  release(hash: string): void {
    const holds = (this.#holds.get(hash) ?? 1) - 1;
    if (holds > 0) this.#holds.set(hash, holds);
    else this.#holds.delete(hash);
  }

  /** @throws InternalError for an application that was never added, BadImage for one whose file is gone or damaged. */
  #of(hash: string): Promise<number> {
    const files = this.#files.get(hash);
    if (!files) return Promise.reject(new InternalError(`no image is known for ${hash}`));
    let opened: Opened;
    try {
      opened = this.#open.get(hash) ?? this.#opening(hash, files);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#open.delete(hash);
    this.#open.set(hash, opened);
    return opened.image;
  }

  #opening(hash: string, { deltaPath, packPath }: { deltaPath: string | null; packPath?: string }): Opened {
    const packages = packPath === undefined ? undefined : this.packs.open(packPath, hash);
    const image = this.#read(hash, deltaPath).then(({ id, own_bytes }) => {
      opened.own_bytes = own_bytes;
      this.#closeOldest();
      return id;
    });
    const opened = { image, packages, own_bytes: 0 };
    image.catch(() => {
      this.#open.delete(hash);
      if (packages) this.packs.close(packages);
    });
    return opened;
  }

  /** @throws BadImage */
  async #read(hash: string, deltaPath: string | null): Promise<OpenedImage> {
    const opened = await store.imageOpen(this.#basePath, deltaPath).catch((error: unknown) => {
      const { code, message } = error as { code?: string; message: string };
      // A file that is gone or cut short is damaged too; which of the two it is, the other image tells.
      if (code !== "BadImage" && code !== "SystemError") throw error;
      const image = existsSync(this.#basePath) && hash !== BASE ? hash : "base";
      throw new BadImage(`the image ${image} cannot be opened: ${message}`, { image });
    });
    if (opened.content_hash === (await this.#baseHash())) return opened;
    store.imageClose(opened.id);
    throw new BadImage(`${this.#basePath} is not what was written`, { image: "base" });
  }

  /** Sandboxes that have a closed image mapped keep it until they map another. */
  #closeOldest(): void {
    let bytes = 0;
    for (const { own_bytes } of this.#open.values()) bytes += own_bytes;
    for (const [hash, { image, packages, own_bytes }] of this.#open) {
      if (this.#open.size <= OPEN_LIMIT && bytes <= OPEN_LIMIT_BYTES) return;
      if (this.#holds.has(hash)) continue;
      this.#open.delete(hash);
      bytes -= own_bytes;
      if (packages) this.packs.close(packages);
      image.then(
        (id) => store.imageClose(id),
        () => undefined,
      );
    }
  }
}
