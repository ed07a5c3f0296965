import { dispose } from '@tensorflow/tfjs-core';
import { readJsonFile } from '@evenkeel/checkpoint';
import { ConfigError } from '@evenkeel/core-tensor';
import { readText, type Batch } from '@evenkeel/data';
import type { GptConfig } from '@evenkeel/models-gpt';
import { checkGpt, loadTokenizerOf } from '../checkpointDirectory.ts';
import { announceDevice, openDevice, type DeviceName } from '../devices.ts';
import { UsageError } from '../errors.ts';
import { evaluationBatches, meanLossOf } from '../gpt/evaluation.ts';
import { formatCount } from '../format.ts';
import type { Io } from '../output.ts';
import { loadModel } from '../gpt/savedModel.ts';

export type EvalOptions = {
  readonly checkpoint: string;
  readonly data?: string;
  readonly tokens?: string;
  readonly batchSize: number;
  readonly device: DeviceName;
};

export type EvalResult = {
  readonly command: 'eval';
  readonly device: string;
  /** Mean next-token cross-entropy in nats. */
  readonly loss: number;
  readonly perplexity: number;
  /** Targets counted. */
  readonly tokens: number;
};

/** Ids — what is evaluated, and how it is cut for a model. */
type Ids = { readonly ids: ArrayLike<number>; readonly batches: (config: GptConfig) => Iterable<Batch> };

/**
 * evaluateCheckpoint — mean next-token cross-entropy of a checkpoint.
 *
 * Text: every token but the first is a target once; windows of the model's context do not overlap, so a target sees the tokens
 * before it in its own window. Tokens: each array is a sequence of its own, whose first id is only an input.
 */
export async function evaluateCheckpoint(options: EvalOptions, io: Io): Promise<EvalResult> {
  const { checkpoint, data, tokens } = options;
  if ((data === undefined) === (tokens === undefined)) throw new UsageError('eval needs one of --data and --tokens, got both or neither');
  await checkGpt(checkpoint);
  const { ids, batches } = data === undefined ? await idsFromJson(tokens as string, options) : await idsFromText(data, options);
  const device = await openDevice(options.device);
  const { model, params } = await loadModel(checkpoint);
  try {
    checkIds(ids, model.config.vocabSize, data ?? tokens as string);
    announceDevice(device, options.device, io.line);
    const mean = await meanLossOf(model, params, batches(model.config));
    if (!Number.isFinite(mean.loss)) throw new ConfigError(`eval: loss must be finite, got ${mean.loss}. Are the weights in ${checkpoint} damaged?`);
    const perplexity = Math.exp(mean.loss);
    io.line(`loss ${mean.loss.toFixed(4)} nats per token, perplexity ${perplexity.toFixed(3)}, over ${formatCount(mean.tokens)} tokens`);
    return { command: 'eval', device: device.name, loss: mean.loss, perplexity, tokens: mean.tokens };
  } finally {
    dispose(params as never);
  }
}

async function idsFromText(path: string, { checkpoint, batchSize }: EvalOptions): Promise<Ids> {
  const tokenizer = await loadTokenizerOf(checkpoint, 'eval --data');
  const ids = tokenizer.encode(await readText(path));
  if (ids.length < 2) throw new UsageError(`--data must hold at least 2 tokens, got ${ids.length} in ${path}`);
  return { ids, batches: ({ contextLength }) => evaluationBatches(ids, { contextLength, batchSize }) };
}

async function idsFromJson(path: string, { batchSize }: EvalOptions): Promise<Ids> {
  const rows = checkedRows(await readJsonFile(path), path);
  const length = (rows[0] as number[]).length;
  return {
    ids: rows.flat(),
    batches: ({ contextLength }) => {
      if (length - 1 <= contextLength) return batchesOfRows(rows, batchSize);
      throw new UsageError(`--tokens must hold arrays of at most ${contextLength + 1} ids (the context and one target), got ${length} in ${path}`);
    },
  };
}

/** Inputs are all ids of a row but the last, targets all but the first. */
function* batchesOfRows(rows: readonly number[][], batchSize: number): Generator<Batch> {
  for (let start = 0; start < rows.length; start += batchSize) {
    const group = rows.slice(start, start + batchSize);
    const shape: Batch['shape'] = [group.length, (group[0] as number[]).length - 1];
    yield { inputs: Int32Array.from(group.flatMap((row) => row.slice(0, -1))), targets: Int32Array.from(group.flatMap((row) => row.slice(1))), shape };
  }
}

function checkedRows(json: unknown, path: string): number[][] {
  const expected = '--tokens must be a JSON array of arrays of token ids, all of one length ≥ 2';
  if (!Array.isArray(json) || json.length === 0) throw new UsageError(`${expected}, got ${Array.isArray(json) ? 'an empty array' : typeof json} in ${path}`);
  const length: unknown = Array.isArray(json[0]) ? json[0].length : undefined;
  json.forEach((row: unknown, index) => {
    if (!Array.isArray(row)) throw new UsageError(`${expected}, got ${row === null ? 'null' : typeof row} at [${index}] in ${path}`);
    if (row.length < 2 || row.length !== length) throw new UsageError(`${expected}, got ${row.length} ids at [${index}] after ${String(length)} in ${path}`);
    const bad = row.findIndex((id) => !Number.isSafeInteger(id) || id < 0);
    if (bad >= 0) throw new UsageError(`${expected}, got ${JSON.stringify(row[bad])?.slice(0, 40)} at [${index}][${bad}] in ${path}`);
  });
  return json as number[][];
}

function checkIds(ids: ArrayLike<number>, vocabSize: number, source: string): void {
  for (let i = 0; i < ids.length; i++) {
    if ((ids[i] as number) >= vocabSize) {
      throw new UsageError(`token ids must be below the model's vocabulary size ${vocabSize}, got ${ids[i]} in ${source}. Do tokenizer and model belong together?`);
    }
  }
}
