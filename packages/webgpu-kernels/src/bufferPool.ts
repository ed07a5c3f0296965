/** Buffers of freed tensors, kept for the next ones; those that nothing has used for a while go back to the driver. */

/** Arena — free buffers by use and size. A captured step has one of its own, so that nothing else gets the buffers it replays into. */
export type Arena = Map<number, GPUBuffer[]>;

/** BufferUse — whose a buffer is, and the last batch of commands that names it. */
export type BufferUse = { readonly id: number; arena: Arena; readonly key: number; lastBatch: number; acquired: number };

/** Flags of GPUBufferUsage that there may be. */
const USAGE_BITS = 11;
/** Batches after which a free buffer is given back. */
const IDLE_BATCHES = 200;
const TRIM_EVERY = 100;

/**
 * BufferPool — stands in for tfjs' buffer manager. Sizes are rounded up to one of eight per power of two (at most an eighth
 * more, and whole vec4s), so that tensors of nearly equal sizes share buffers.
 */
export class BufferPool {
  numBytesUsed = 0;
  numBytesAllocated = 0;
  /** Most bytes that tensors held at once. */
  peakBytesUsed = 0;
  /** The number of the batch of commands that is being recorded. */
  batch = 0;
  /** How many buffers were acquired so far. */
  acquired = 0;
  readonly #shared: Arena = new Map();
  readonly #adopted = new WeakSet<Arena>();
  readonly #uses = new Map<GPUBuffer, BufferUse>();
  #arena: Arena = this.#shared;
  #nextId = 0;
  readonly #device: GPUDevice;
  readonly #onDestroy: () => void;

  /** @param onDestroy  called after buffers were destroyed: what refers to them is void. */
  constructor(device: GPUDevice, onDestroy: () => void) {
    this.#device = device;
    this.#onDestroy = onDestroy;
  }

  /** acquireBuffer — a buffer of at least `bytes`; its old contents are still in it. One that is mapped is always new. */
  acquireBuffer(bytes: number, usage: number, mappedAtCreation = false): GPUBuffer {
    const size = sizeClass(bytes);
    const key = size * 2 ** USAGE_BITS + usage;
    return this.#handOut(size, (mappedAtCreation ? undefined : this.#arena.get(key)?.pop() ?? this.#takeOver(key)) ?? this.#create(key, { size, usage, mappedAtCreation }));
  }

  /** acquireFresh — a buffer that is new, and that nobody gets after its release until `adopt(arena)`. */
  acquireFresh(bytes: number, usage: number, arena: Arena): GPUBuffer {
    const size = sizeClass(bytes);
    return this.within(arena, () => this.#handOut(size, this.#create(size * 2 ** USAGE_BITS + usage, { size, usage })));
  }

  /** releaseBuffer — at once for the next taker, also while commands that name it wait: the device runs them in order. */
  releaseBuffer(buffer: GPUBuffer, reuse = true): void {
    this.numBytesUsed -= sizeOfKey(this.use(buffer).key); // asking the buffer itself is a call into the driver
    if (reuse) this.#putBack(buffer);
    else this.#destroy([buffer]);
  }

  /** A free buffer of everybody's for an arena, to which it belongs from now on. */
  #takeOver(key: number): GPUBuffer | undefined {
    const buffer = this.#shared.get(key)?.pop();
    if (buffer !== undefined) this.use(buffer).arena = this.#arena;
    return buffer;
  }

  #handOut(size: number, buffer: GPUBuffer): GPUBuffer {
    this.numBytesUsed += size;
    this.peakBytesUsed = Math.max(this.peakBytesUsed, this.numBytesUsed);
    this.use(buffer).acquired = ++this.acquired;
    return buffer;
  }

  /** Among the free buffers of its arena, or of everybody where that was adopted. */
  #putBack(buffer: GPUBuffer): void {
    const { arena, key } = this.use(buffer);
    const home = this.#adopted.has(arena) ? this.#shared : arena;
    const free = home.get(key);
    if (free === undefined) home.set(key, [buffer]);
    else this.#insert(free, buffer);
  }

  /**
   * The oldest buffer stands last and is taken first, whatever the order of release: equal steps of a training then get equal
   * buffers, and find the bind groups of the step before.
   */
  #insert(free: GPUBuffer[], buffer: GPUBuffer): void {
    const { id } = this.use(buffer);
    let [low, high] = [0, free.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.use(free[middle] as GPUBuffer).id > id) low = middle + 1;
      else high = middle;
    }
    free.splice(low, 0, buffer);
  }

  /** use — the record of one of this pool's buffers, or of a foreign one. */
  use(buffer: GPUBuffer): BufferUse {
    let use = this.#uses.get(buffer);
    if (use === undefined) this.#uses.set(buffer, use = { id: this.#nextId++, arena: new Map(), key: 0, lastBatch: -1, acquired: 0 });
    return use;
  }

  /** within — runs `f`; buffers it acquires come from `arena`, and return there when they are released. */
  within<T>(arena: Arena, f: () => T): T {
    const outer = this.#arena;
    this.#arena = arena;
    try {
      return f();
    } finally {
      this.#arena = outer;
    }
  }

  /** trim — to be called after each batch: destroys what has been free for long; with `all` every free buffer. */
  trim(all = false): void {
    if (!all && this.batch % TRIM_EVERY !== 0) return;
    for (const [key, buffers] of this.#shared) {
      const isIdle = (buffer: GPUBuffer): boolean => all || this.use(buffer).lastBatch < this.batch - IDLE_BATCHES;
      const idle = buffers.filter(isIdle);
      if (idle.length === 0) continue;
      this.#shared.set(key, buffers.filter((buffer) => !isIdle(buffer)));
      this.#destroy(idle);
    }
  }

  /** adopt — the buffers of an arena that is not needed any more are for everybody: the free ones now, the others once released. */
  adopt(arena: Arena): void {
    this.#adopted.add(arena);
    for (const buffers of arena.values()) buffers.forEach((buffer) => this.#putBack(buffer));
    arena.clear();
  }

  getNumUsedBuffers(): number {
    return this.#uses.size - this.getNumFreeBuffers();
  }

  getNumFreeBuffers(): number {
    return [...this.#shared.values()].reduce((count, buffers) => count + buffers.length, 0);
  }

  dispose(): void {
    this.#destroy([...this.#uses.keys()]);
    this.#shared.clear();
  }

  #create(key: number, descriptor: GPUBufferDescriptor): GPUBuffer {
    const buffer = this.#device.createBuffer(descriptor);
    this.numBytesAllocated += descriptor.size;
    this.#uses.set(buffer, { id: this.#nextId++, arena: this.#arena, key, lastBatch: this.batch, acquired: this.acquired });
    return buffer;
  }

  #destroy(buffers: readonly GPUBuffer[]): void {
    for (const buffer of buffers) {
      buffer.destroy();
      this.numBytesAllocated -= buffer.size;
      this.#uses.delete(buffer);
    }
    if (buffers.length > 0) this.#onDestroy();
  }
}

const sizeOfKey = (key: number): number => Math.floor(key / 2 ** USAGE_BITS);

/** sizeClass — `bytes` rounded up to a multiple of an eighth of the power of two below it, and of 16. */
export function sizeClass(bytes: number): number {
  const step = Math.max(16, 2 ** (Math.floor(Math.log2(Math.max(bytes, 1))) - 3));
  return Math.max(16, Math.ceil(bytes / step) * step);
}
