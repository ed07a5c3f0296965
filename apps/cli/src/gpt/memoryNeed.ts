import { totalmem } from 'node:os';
import { UsageError } from '../errors.ts';
import { formatBytes, formatCount } from '../format.ts';
import type { GptSettings } from './gptSettings.ts';
import type { OptimizerName } from '../techniques.ts';

type Sizes = Pick<GptSettings, 'depth' | 'dim' | 'context' | 'batchSize'> & Partial<Pick<GptSettings, 'optimizer' | 'untiedHead'>>;

/** MemoryNeed — what a run needs at the least, so that whatever is refused for it could not have worked. */
export type MemoryNeed = {
  /** Trained parameters. */
  readonly parameters: number;
  /** Bytes on the device in the middle of a step. */
  readonly deviceBytes: number;
  /** Bytes of the machine's own memory where the device has another: a checkpoint passes through it, and every batch. */
  readonly hostBytes: number;
};

const FLOAT = 4;
/** Of each parameter besides value and gradient: the averages that an optimizer keeps at the least. */
const AVERAGES: Readonly<Record<OptimizerName, number>> = { adamw: 2, lamb: 2, muon: 1, 'sgd-sai': 1, lars: 1, lion: 1, sgd: 1, adafactor: 0 };
/** A block's tensors, and the bytes of a tensor apart from its numbers, at the least. */
const BLOCK_TENSORS = 12;
const TENSOR_BYTES = 512;
/** Activations that a block keeps for its backward pass, in units of `b t c`: measured peaks are 24 to 28. */
const KEPT = 20;

/** memoryNeed — of training a model about like GPT-2, by default with AdamW and a tied head; pass 1 for a vocabulary that is not known yet. */
export function memoryNeed({ depth, dim, context, batchSize, optimizer = 'adamw', untiedHead = false }: Sizes, vocabSize: number): MemoryNeed {
  const copies = 2 + AVERAGES[optimizer];
  const parameters = depth * (12 * dim ** 2 + 13 * dim) + (vocabSize * (untiedHead ? 2 : 1) + context + 2) * dim;
  const tokens = batchSize * context;
  const objects = depth * BLOCK_TENSORS * copies * TENSOR_BYTES;
  const activations = FLOAT * tokens * (depth * KEPT * dim + vocabSize);
  return {
    parameters,
    deviceBytes: FLOAT * copies * parameters + activations + objects,
    hostBytes: FLOAT * (copies - 1) * parameters + 2 * FLOAT * tokens + objects,
  };
}

/** WASM_BYTES — as far as WebAssembly's addresses reach. */
const WASM_BYTES = 2 ** 32;

/** memoryLimit — the bytes a device can hold; of a GPU, whose memory cannot be asked for, what the machine beside it holds. */
export function memoryLimit(device: string): number {
  const machine = Math.min(totalmem(), process.constrainedMemory() || Infinity);
  return device === 'wasm' ? Math.min(WASM_BYTES, machine) : machine;
}

/**
 * checkMemory — that a device can hold a run, before anything is made for it.
 *
 * @throws UsageError  with the sizes, the estimate and the limit.
 */
export function checkMemory(settings: Sizes, vocabSize: number, device: string, limit = memoryLimit(device)): void {
  const { parameters, deviceBytes, hostBytes } = memoryNeed(settings, vocabSize);
  const bytes = device === 'webgpu' ? hostBytes : deviceBytes;
  if (bytes <= limit) return;
  const { depth, dim, context, batchSize } = settings;
  const vocabulary = vocabSize > 1 ? `, a vocabulary of ${formatCount(vocabSize)}` : '';
  throw new UsageError(
    `--depth, --dim, --context and --batch-size must give a run that fits into the ${formatBytes(limit)} of device ${device}, got ${depth}, ${dim}, ${context} and ${batchSize}${vocabulary}: `
    + `${formatCount(parameters)} parameters, and at least ${formatBytes(bytes)} for a step`);
}
