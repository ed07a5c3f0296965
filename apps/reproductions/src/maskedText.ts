import { dispose, type TensorContainer } from '@tensorflow/tfjs-core';
import { foldSeed, type GradientTransform, type Params } from '@evenkeel/core-tensor';
import { oneEpochSampler, type Tokenizer } from '@evenkeel/data';
import { bertWithHead, maskedBatch, maskedLmHead, specialTokens, type Bert, type HeadedParams, type MaskedLmBatch } from '@evenkeel/models-bert';
import { adamw, decayMask, linearDecay } from '@evenkeel/optimizers';
import { train } from '@evenkeel/training';

/** BertLeaves — the parameters of an encoder with a head, as variables. */
export type BertLeaves = Params & HeadedParams;

/** sequenceOf — `[CLS] text [SEP]`, cut off at `length` tokens. */
export function sequenceOf(tokenizer: Tokenizer, text: string, length: number): Int32Array {
  const { clsId, sepId } = specialTokens(tokenizer);
  return Int32Array.of(clsId, ...tokenizer.encode(text).subarray(0, length - 2), sepId);
}

/** sequencesOf — each line as `[CLS] line [SEP]`, long ones in pieces of `length` tokens. */
export function sequencesOf(tokenizer: Tokenizer, lines: readonly string[], length: number): Int32Array[] {
  const { clsId, sepId } = specialTokens(tokenizer);
  return lines.flatMap((line) => {
    const ids = tokenizer.encode(line);
    return Array.from({ length: Math.ceil(ids.length / (length - 2)) }, (_, i) => Int32Array.of(clsId, ...ids.subarray(i * (length - 2), (i + 1) * (length - 2)), sepId));
  });
}

/** MaskingOptions — how sequences become a batch of masked tokens. */
export type MaskingOptions = {
  readonly tokenizer: Tokenizer;
  /** Share of the tokens that are masked. */
  readonly prob: number;
  /** Padded to this length; without it there is no padding. */
  readonly length?: number;
  readonly seed: number;
};

/** maskedTexts — sequences with some tokens masked, none of them special, as tensors, which are the caller's. The last block and the head compute the masked tokens alone. */
export function maskedTexts(sequences: readonly Int32Array[], { tokenizer, prob, length, seed }: MaskingOptions): MaskedLmBatch {
  const specials = specialTokens(tokenizer);
  return maskedBatch(sequences, {
    prob, seed, vocabSize: tokenizer.vocabSize, padId: specials.padId, maskId: specials.maskId as number, specials: Object.values(specials), ...(length === undefined ? { unpadded: true } : { length }),
  }).batch;
}

/** PretrainOptions — a run of masked language modelling. */
export type PretrainOptions = Omit<MaskingOptions, 'seed'> & {
  readonly encoder: Bert;
  readonly sequences: readonly Int32Array[];
  readonly batchSize: number;
  readonly steps: number;
  readonly learningRate: number;
  readonly seed: number;
};

/** Pretrained — `params` are the caller's. */
export type Pretrained = {
  readonly params: BertLeaves;
  /** Of each step. */
  readonly losses: readonly number[];
  /** Processor time of all threads, batch included; where nobody says it (in browsers), time by the clock. */
  readonly msPerStep: readonly number[];
  /** How many positions the batch of each step has, padding included. */
  readonly positions: readonly number[];
};

/** pretrain — trains an encoder on masked tokens: AdamW as MosaicBERT's, warm-up over 6 % of the steps, then linearly to a fiftieth. */
export async function pretrain({ encoder, sequences, batchSize, steps, learningRate, seed, ...options }: PretrainOptions): Promise<Pretrained> {
  const model = bertWithHead(encoder, maskedLmHead());
  const params = model.init({ seed }) as BertLeaves;
  const sampler = oneEpochSampler({ count: sequences.length, batchSize, seed: foldSeed(seed, 'order'), allowRepeat: true });
  const [losses, msPerStep, positions]: [number[], number[], number[]] = [[], [], []];
  let before = processorMs();
  await train({
    params, steps, seed, capture: false,
    batches: (step) => {
      const batch = maskedTexts(Array.from(sampler.indices(step), (i) => sequences[i] as Int32Array), { ...options, seed: foldSeed(seed, 'mask', step) });
      positions.push(batch.ids.size);
      return batch;
    },
    loss: (leaves, batch, call) => model.loss(batch, leaves, call),
    optimizer: adamw({
      learningRate: linearDecay({ peak: learningRate, steps, warmup: Math.min(steps - 1, Math.ceil(0.06 * steps)), floor: learningRate / 50 }),
      weightDecay: 1e-5, weightDecayMode: 'independent', beta2: 0.98, eps: 1e-6, mask: decayMask(model.specs),
    }) as unknown as GradientTransform,
    callbacks: {
      onStep: ({ loss }) => {
        const now = processorMs();
        losses.push(loss);
        msPerStep.push(now - before);
        before = now;
      },
    },
  });
  return { params, losses, msPerStep, positions };
}

function processorMs(): number {
  const used = globalThis.process?.cpuUsage?.();
  return used === undefined ? performance.now() : (used.user + used.system) / 1000;
}

/** maskedLoss — mean loss of the masked tokens of some sequences; the same are masked at every call with the same seed. */
export async function maskedLoss(encoder: Bert, params: BertLeaves, sequences: readonly Int32Array[], { batchSize = 64, seed, ...options }: MaskingOptions & { batchSize?: number }): Promise<number> {
  const model = bertWithHead(encoder, maskedLmHead());
  let [sum, count] = [0, 0];
  for (let first = 0; first < sequences.length; first += batchSize) {
    const batch = maskedTexts(sequences.slice(first, first + batchSize), { ...options, seed: foldSeed(seed, first) });
    const loss = model.loss(batch, params);
    sum += batch.labels.size * ((await loss.data())[0] as number);
    count += batch.labels.size;
    dispose([batch, loss] as unknown as TensorContainer);
  }
  return sum / count;
}
