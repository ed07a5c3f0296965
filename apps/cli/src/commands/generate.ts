import { dispose } from '@tensorflow/tfjs-core';
import type { Tokenizer } from '@evenkeel/data';
import { generate } from '@evenkeel/models-gpt';
import { checkGpt, endOfText, loadTokenizerOf } from '../checkpointDirectory.ts';
import { announceDevice, openDevice, type DeviceName } from '../devices.ts';
import { UsageError } from '../errors.ts';
import { printable } from '../format.ts';
import type { Io } from '../output.ts';
import { loadModel } from '../gpt/savedModel.ts';
import { round } from '../statistics.ts';

export type GenerateOptions = {
  readonly checkpoint: string;
  readonly prompt: string;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP: number;
  readonly seed: number;
  readonly device: DeviceName;
};

export type GenerateResult = {
  readonly command: 'generate';
  readonly device: string;
  readonly prompt: string;
  /** What follows the prompt. */
  readonly text: string;
  readonly tokens: number;
  readonly tokensPerSecond: number;
};

/** generateText — prints the prompt and its continuation as it is drawn; device and speed go to standard error. */
export async function generateText(options: GenerateOptions, io: Io): Promise<GenerateResult> {
  const { checkpoint, prompt } = options;
  await checkGpt(checkpoint);
  const tokenizer = await loadTokenizerOf(checkpoint, 'generate');
  const ids = tokenizer.encode(prompt);
  if (ids.length === 0) throw new UsageError('--prompt must hold at least one token, got a text that the tokenizer drops');
  const device = await openDevice(options.device);
  const { model, params } = await loadModel(checkpoint);
  try {
    announceDevice(device, options.device, io.note);
    const stopToken = await endOfText(checkpoint, model.config.vocabSize);
    io.text(printable(prompt));
    const drawn: number[] = [];
    const speak = speaker(tokenizer, io);
    const start = performance.now();
    for await (const id of generate(model, params, ids, { ...options, stopToken })) {
      drawn.push(id);
      speak(id);
    }
    const seconds = (performance.now() - start) / 1000;
    io.line();
    const tokensPerSecond = round(drawn.length / seconds, 1);
    io.note(`${drawn.length} tokens, ${tokensPerSecond} tokens/s`);
    return { command: 'generate', device: device.name, prompt, text: tokenizer.decode(drawn), tokens: drawn.length, tokensPerSecond };
  } finally {
    dispose(params as never);
  }
}

/** Says tokens as soon as they make whole characters: a byte-level token may end inside one. */
function speaker(tokenizer: Tokenizer, io: Io): (id: number) => void {
  let pending: number[] = [];
  return (id) => {
    pending.push(id);
    const text = tokenizer.decode(pending);
    if (text.endsWith('\uFFFD') && pending.length < 4) return;
    io.text(printable(text));
    pending = [];
  };
}
