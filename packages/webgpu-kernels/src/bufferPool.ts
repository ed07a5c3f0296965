/** Buffers of freed tensors, kept for the next ones; those that nothing has used for a while, or that are too many, go back to the driver. */

/** Arena — free buffers by use and size. A captured step has one of its own, so that nothing else gets the buffers it replays into. */
export type Arena = Map<number, GPUBuffer[]>;

/** BufferUse — whose a buffer is, the last batch of commands that names it, and the batch in which it was released last. */
export type BufferUse = { readonly id: number; arena: Arena; readonly key: number; lastBatch: number; acquired: number; released: number };

/** BufferMaker — what the pool needs of a device. */
export type BufferMaker = { readonly limits: Pick<GPUSupportedLimits, 'maxBufferSize' | 'maxStorageBufferBindingSize'>; createBuffer(descriptor: GPUBufferDescriptor): GPUBuffer };

/** Flags of GPUBufferUsage that there may be. */
const USAGE_BITS = 11;
/** Batches after which a free buffer is given back. */
const IDLE_BATCHES = 200;
const TRIM_EVERY = 100;
/** Free bytes that are kept: as many as tensors held at once lately and half as many again, as sizes take turns, and at least so many. */
const KEPT_SHARE = 1.5;
const LEAST_KEPT = 64 * 2 ** 20;

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
  /** Bytes of the free buffers that are everybody's. */
  #free = 0;
  /** Most bytes that tensors held at once since the last look, and before it. */
  #peakNow = 0;
  #peakBefore = 0;
  readonly #device: BufferMaker;
  /** The largest buffer that can be bound. */
  readonly #most: number;
  readonly #handOver: () => boolean;
  readonly #onDestroy: () => void;

  /**
   * @param handOver   hands what was recorded to the device, unless it cannot be now; says whether nothing is waiting.
   * @param onDestroy  called after buffers were destroyed: what refers to them is void.
   */
  constructor(device: BufferMaker, { handOver, onDestroy }: { handOver: () => boolean; onDestroy: () => void }) {
    this.#device = device;
    this.#most = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
    this.#handOver = handOver;
    this.#onDestroy = onDestroy;
  }

  /** acquireBuffer — a buffer of at least `bytes`; its old contents are still in it. One that is mapped is always new. */
  acquireBuffer(bytes: number, usage: number, mappedAtCreation = false): GPUBuffer {
    const size = sizeClass(bytes, this.#most);
    const key = size * 2 ** USAGE_BITS + usage;
    const free = mappedAtCreation ? undefined : this.#takeFree(key);
    if (free !== undefined) return this.#handOut(size, free);
    // Before memory is asked for, what is free beyond what is kept goes back, also in the midst of a batch.
    if (this.#free > this.#kept() && this.#arena === this.#shared && this.#handOver()) this.#giveBackExcess();
    return this.#handOut(size, this.#create(key, { size, usage, mappedAtCreation }));
  }

  /** acquireFresh — a buffer that is new, and that nobody gets after its release until `adopt(arena)`. */
  acquireFresh(bytes: number, usage: number, arena: Arena): GPUBuffer {
    const size = sizeClass(bytes, this.#most);
    return this.within(arena, () => this.#handOut(size, this.#create(size * 2 ** USAGE_BITS + usage, { size, usage })));
  }

  /** releaseBuffer — at once for the next taker, also while commands that name it wait: the device runs them in order. */
  releaseBuffer(buffer: GPUBuffer, reuse = true): void {
    this.numBytesUsed -= sizeOfKey(this.use(buffer).key); // asking the buffer itself is a call into the driver
    if (reuse) this.#putBack(buffer);
    else this.#destroy([buffer]);
  }

  /** A free buffer of the arena, or of everybody's, which then belongs to the arena. */
  #takeFree(key: number): GPUBuffer | undefined {
    const own = this.#arena === this.#shared ? undefined : this.#arena.get(key)?.pop();
    if (own !== undefined) return own;
    const buffer = this.#shared.get(key)?.pop();
    if (buffer === undefined) return undefined;
    this.#free -= sizeOfKey(key);
    this.use(buffer).arena = this.#arena;
    return buffer;
  }

  #handOut(size: number, buffer: GPUBuffer): GPUBuffer {
    this.numBytesUsed += size;
    this.peakBytesUsed = Math.max(this.peakBytesUsed, this.numBytesUsed);
    this.#peakNow = Math.max(this.#peakNow, this.numBytesUsed);
    this.use(buffer).acquired = ++this.acquired;
    return buffer;
  }

  /** Among the free buffers of its arena, or of everybody where that was adopted. */
  #putBack(buffer: GPUBuffer): void {
    const use = this.use(buffer);
    const { arena, key } = use;
    const home = this.#adopted.has(arena) ? this.#shared : arena;
    use.released = this.batch;
    if (home === this.#shared) this.#free += sizeOfKey(key);
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
    if (use === undefined) this.#uses.set(buffer, use = { id: this.#nextId++, arena: new Map(), key: 0, lastBatch: -1, acquired: 0, released: this.batch });
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

  /** submitted — to be called after each batch of commands, whoever submitted it: what was free for long or is too much goes back. */
  submitted(): void {
    this.batch += 1;
    if (this.batch % TRIM_EVERY === 0) {
      this.trim();
      this.#peakBefore = this.#peakNow;
      this.#peakNow = this.numBytesUsed;
    }
    if (this.#free > this.#kept()) this.#giveBackExcess();
  }

  /** trim — destroys what has been free for long; with `all` every free buffer. To be called when no commands wait. */
  trim(all = false): void {
    this.#giveBack(({ released }) => all || released < this.batch - IDLE_BATCHES);
  }

  #kept(): number {
    return Math.max(LEAST_KEPT, KEPT_SHARE * Math.max(this.#peakNow, this.#peakBefore));
  }

  /** Those that were released first, though none of the last batches, which steps that are being recorded may still name. */
  #giveBackExcess(): void {
    let excess = this.#free - this.#kept();
    const gone = new Set<BufferUse>();
    const old = [...this.#shared.values()].flatMap((buffers) => buffers.map((buffer) => this.use(buffer))).filter(({ released }) => released < this.batch - 1);
    for (const use of old.sort((a, b) => a.released - b.released)) {
      if (excess <= 0) break;
      gone.add(use);
      excess -= sizeOfKey(use.key);
    }
    this.#giveBack((use) => gone.has(use));
  }

  #giveBack(isGone: (use: BufferUse) => boolean): void {
    const gone: GPUBuffer[] = [];
    for (const [key, buffers] of this.#shared) {
      const going = buffers.filter((buffer) => isGone(this.use(buffer)));
      if (going.length === 0) continue;
      this.#shared.set(key, buffers.filter((buffer) => !isGone(this.use(buffer))));
      this.#free -= going.length * sizeOfKey(key);
      gone.push(...going);
    }
    this.#destroy(gone);
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
    this.#free = 0;
  }

  #create(key: number, descriptor: GPUBufferDescriptor): GPUBuffer {
    const buffer = this.#device.createBuffer(descriptor);
    this.numBytesAllocated += descriptor.size;
    this.#uses.set(buffer, { id: this.#nextId++, arena: this.#arena, key, lastBatch: this.batch, acquired: this.acquired, released: this.batch });
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

/** sizeClass — `bytes` rounded up to a multiple of an eighth of the power of two below it, and of 16; not beyond `most`, if `bytes` is not. */
export function sizeClass(bytes: number, most = Infinity): number {
  const step = Math.max(16, 2 ** (Math.floor(Math.log2(Math.max(bytes, 1))) - 3));
  const size = Math.max(16, Math.ceil(bytes / step) * step);
  return size <= most ? size : Math.max(Math.ceil(bytes / 16), Math.floor(most / 16)) * 16;
}
