import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { atomicWriteFile } from '@evenkeel/checkpoint';
import type { Finding } from '@evenkeel/core-tensor';
import { UsageError } from '../errors.ts';
import { isCount, isDevice, isListOf, isNatural, isNumber, isObject, isText, orNull, wrongField } from '../fields.ts';
import type { GptSettings } from '../gpt/gptSettings.ts';
import type { RunCurves } from './curves.ts';

/** RunResult — what came of one run of a sweep. All but `msPerStep` is the same whenever it is measured, on the same machine. */
export type RunResult = {
  readonly id: string;
  readonly technique: string;
  readonly dim: number;
  readonly depth: number;
  readonly learningRate: number;
  /** Validation loss in nats after the last step; null if the run diverged. */
  readonly loss: number | null;
  /** The step, counted from 1, in which something was no longer finite: what, and all that the run says of it; null if all went well. */
  readonly diverged: { readonly step: number; readonly what: string; readonly message: string } | null;
  /** Validation loss before the first step. */
  readonly initialLoss: number;
  /** Mean training loss of the last 20 steps; null if the run diverged. */
  readonly trainLoss: number | null;
  /** Steps done. */
  readonly steps: number;
  /** Number of trained parameters. */
  readonly params: number;
  /** Median. */
  readonly msPerStep: number;
  readonly device: string;
  /** What the monitor found, with the step. */
  readonly findings: readonly (Finding & { readonly step: number })[];
  readonly curves: RunCurves;
  readonly settings: GptSettings;
};

/** RESULTS — one RunResult per line. */
export const RESULTS = 'results.jsonl';

/** writeResults — saves the results of all finished runs, old and new, at once. */
export async function writeResults(directory: string, results: readonly RunResult[]): Promise<void> {
  await atomicWriteFile(join(directory, RESULTS), results.map((each) => `${JSON.stringify(each)}\n`).join(''));
}

/**
 * readResults — the results of the runs that are finished; none if the first one is not.
 *
 * @throws UsageError  naming the line that is no result.
 */
export async function readResults(directory: string): Promise<RunResult[]> {
  const path = join(directory, RESULTS);
  if (!existsSync(path)) return [];
  const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '');
  return lines.map((line, i) => parsedLine(line, `line ${i + 1} of ${path}`));
}

const isPoint = (value: unknown): boolean => Array.isArray(value) && value.length === 2 && value.every(Number.isFinite);
const CURVES = { loss: isListOf(isPoint), entropy: isListOf(isPoint), maxLogit: isListOf(isPoint), logPartition: isListOf(isPoint) } satisfies Record<keyof RunCurves, unknown>;
const areCurves = (value: unknown): boolean => isObject(value) && wrongField(value, CURVES) === undefined;
const isFinding = (value: unknown): boolean => isObject(value) && isCount(value['step']) && isText(value['kind']) && isText(value['message']);
const isDivergence = (value: unknown): boolean => isObject(value) && isCount(value['step']) && isText(value['what']) && isText(value['message']);

function parsedLine(line: string, where: string): RunResult {
  const result = parsedJson(line);
  if (!isObject(result)) throw new UsageError(`${where} must be the result of a run, got ${line.slice(0, 60)}`);
  const wrong = wrongField(result, {
    id: isText, technique: isText, dim: isCount, depth: isCount, learningRate: isNumber, loss: orNull(isNumber), diverged: orNull(isDivergence), initialLoss: isNumber,
    trainLoss: orNull(isNumber), steps: isNatural, params: isCount, msPerStep: isNumber, device: isDevice, findings: isListOf(isFinding), curves: areCurves, settings: isObject,
  });
  if (wrong !== undefined) throw new UsageError(`${where} must be the result of a run, ${wrong}`);
  return result as unknown as RunResult;
}

function parsedJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
