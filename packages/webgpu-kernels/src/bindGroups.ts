import type { BufferUse } from './bufferPool.ts';

/** Bind groups that are kept at most. */
const MOST = 8192;

/** Buffers from the first on, by their numbers, down to the bind group of all of them. */
type Branch = { readonly next: Map<number, Branch>; group?: GPUBindGroup };

const branch = (): Branch => ({ next: new Map() });

/** BindGroups — the bind groups made so far, by their layout and their buffers: a launch finds its own without building a key. */
export class BindGroups {
  #root = branch();
  #size = 0;

  get(layout: number, uses: readonly BufferUse[], make: () => GPUBindGroup): GPUBindGroup {
    let at = step(this.#root, layout);
    for (const { id } of uses) at = step(at, id);
    if (at.group !== undefined) return at.group;
    if (this.#size >= MOST) {
      this.clear();
      return this.get(layout, uses, make);
    }
    this.#size += 1;
    return at.group = make();
  }

  clear(): void {
    this.#root = branch();
    this.#size = 0;
  }
}

function step({ next }: Branch, key: number): Branch {
  let found = next.get(key);
  if (found === undefined) next.set(key, found = branch());
  return found;
}
