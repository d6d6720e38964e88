/** Secrets at rest: AES-256-GCM under a key that lies beside the database, readable by its owner only. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { BadInput } from "../../graph/errors.ts";

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export class SecretBox {
  readonly #key: Buffer;

  /** The key is made when the file is not there. @throws BadInput for a damaged one */
  constructor(keyPath: string) {
    if (!existsSync(keyPath)) writeFileSync(keyPath, randomBytes(KEY_BYTES), { mode: 0o600, flag: "wx" });
    this.#key = readFileSync(keyPath);
    if (this.#key.length !== KEY_BYTES)
      throw new BadInput(`${keyPath} is no key of ${KEY_BYTES} bytes: put the right one back`, { path: keyPath });
  }

  /** `context` must be the same when it is opened: a sealed text cannot be moved elsewhere. */
  seal(text: string, context: string): Uint8Array {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce).setAAD(Buffer.from(context));
    return Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws BadInput when the key, the context or the bytes are not what they were */
  open(sealed: Uint8Array, context: string): string {
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const tag = sealed.subarray(sealed.length - TAG_BYTES);
    const decipher = createDecipheriv("aes-256-gcm", this.#key, nonce).setAAD(Buffer.from(context)).setAuthTag(tag);
    try {
      const text = decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES), undefined, "utf8");
      return text + decipher.final("utf8");
    } catch {
      throw new BadInput(`the secrets of ${context} cannot be read: the key beside the database is another one`);
    }
  }
}
